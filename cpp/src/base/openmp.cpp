#include "base/openmp.hpp"

#include <platform.h>

#if NCNN_SIMPLEOMP
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <type_traits>
#include <utility>

#include "base/thread_pool.hpp"
#elif defined(_OPENMP) && !defined(_WIN32)
#include <omp.h>
#include <pthread.h>
#endif

namespace realesrgan {

#if NCNN_SIMPLEOMP

// A call into this file makes the linker take it, and with it the functions below, before ncnn's
// own functions of the same names: those wait for ever in a forked child.
void prepare_openmp() {}

namespace {

thread_local int team_size = 1;
thread_local int team_member = 0;

// body(0), ..., body(size - 1), each as a member of a team of that size; some may run one after
// another on the same thread. A loop inside a loop gets one thread.
template <class Body>
void run_team(int size, const Body& body) {
    const int threads = team_size > 1 ? 1 : size;
    ThreadPool::shared().run(size, threads, [&](int member, int /*slot*/) {
        const int old_size = std::exchange(team_size, size);
        const int old_member = std::exchange(team_member, member);
        body(member);
        team_size = old_size;
        team_member = old_member;
    });
}

}  // namespace

#else

void prepare_openmp() {
#if defined(_OPENMP) && !defined(_WIN32)
    [[maybe_unused]] static const int registered =
        pthread_atfork([] { omp_pause_resource_all(omp_pause_soft); }, nullptr, nullptr);
#endif
}

#endif

}  // namespace realesrgan

#if NCNN_SIMPLEOMP

#ifdef __clang__
namespace {

thread_local int asked_threads = 0;

// The loop's variables are passed as so many pointers. Where arguments are passed in registers and
// removed from the stack by the caller, more of them than the function takes do no harm.
constexpr int kMostVariables = 48;
using Variables = void* [kMostVariables];

template <std::size_t... Index>
void call_loop(void (*loop)(), std::int32_t member, Variables& v,
               std::index_sequence<Index...> /*all*/) {
    using Loop = void (*)(std::int32_t*, std::int32_t*, std::enable_if_t<(Index >= 0), void*>...);
    reinterpret_cast<Loop>(loop)(&member, &member, v[Index]...);
}

// Member `member` of the team gets one contiguous part of the counter's values, as even as
// possible.
template <class Count>
void own_part(std::int32_t member, std::int32_t* last, Count* lower, Count* upper) {
    using Unsigned = std::make_unsigned_t<Count>;
    const auto size = static_cast<Unsigned>(realesrgan::team_size);
    const auto number = static_cast<Unsigned>(member);
    const auto values =
        static_cast<Unsigned>(static_cast<Unsigned>(*upper) - static_cast<Unsigned>(*lower) + 1U);
    const Unsigned each = values / size;
    const Unsigned larger = values % size;  // so many parts have one more
    const Unsigned first = number * each + (number < larger ? number : larger);
    const Unsigned mine = each + (number < larger ? 1U : 0U);
    *last = mine > 0 && first + mine == values ? 1 : 0;
    *lower = static_cast<Count>(static_cast<Unsigned>(*lower) + first);
    *upper = static_cast<Count>(static_cast<Unsigned>(*lower) + mine - 1U);
    if (mine == 0) {  // no value, also where the counter is unsigned
        *lower = 1;
        *upper = 0;
    }
}

}  // namespace
#endif

// What compilers generate calls of for "#pragma omp parallel for num_threads(n)", the only
// construct in ncnn, and the functions that ncnn calls itself.
extern "C" {

int omp_get_max_threads() {
    return realesrgan::ThreadPool::shared().processors();
}

int omp_get_num_threads() {
    return realesrgan::team_size;
}

int omp_get_thread_num() {
    return realesrgan::team_member;
}

// The default of loops without num_threads(), which ncnn has none of.
void omp_set_num_threads(int /*threads*/) {}

int omp_get_dynamic() {
    return 1;
}

void omp_set_dynamic(int /*dynamic*/) {}

#ifdef __clang__

// Clang's loops: https://openmp.llvm.org/doxygen/ (libomp's kmpc interface). The thread's number in
// the whole process is only handed on to what is defined here; it is the number in the team.

int kmp_get_blocktime() {
    return 0;
}

void kmp_set_blocktime(int /*milliseconds*/) {}

std::int32_t __kmpc_global_thread_num(void* /*location*/) {
    return realesrgan::team_member;
}

void __kmpc_push_num_threads(void* /*location*/, std::int32_t /*thread*/, std::int32_t threads) {
    asked_threads = threads;
}

void __kmpc_fork_call(void* /*location*/, std::int32_t count, void (*loop)(), ...) {
    const int asked = std::exchange(asked_threads, 0);
    const int threads = asked > 0 ? asked : omp_get_max_threads();
    if (count > kMostVariables) std::abort();
    Variables variables{};
    va_list arguments;
    va_start(arguments, loop);
    for (int i = 0; i < count && i < kMostVariables; ++i) variables[i] = va_arg(arguments, void*);
    va_end(arguments);
    realesrgan::run_team(threads, [&](int member) {
        call_loop(loop, member, variables, std::make_index_sequence<kMostVariables>{});
    });
}

void __kmpc_for_static_init_4(void* /*location*/, std::int32_t thread, std::int32_t /*schedule*/,
                              std::int32_t* last, std::int32_t* lower, std::int32_t* upper,
                              std::int32_t* /*stride*/, std::int32_t /*step*/,
                              std::int32_t /*chunk*/) {
    own_part(thread, last, lower, upper);
}

void __kmpc_for_static_init_4u(void* /*location*/, std::int32_t thread, std::int32_t /*schedule*/,
                               std::int32_t* last, std::uint32_t* lower, std::uint32_t* upper,
                               std::int32_t* /*stride*/, std::int32_t /*step*/,
                               std::int32_t /*chunk*/) {
    own_part(thread, last, lower, upper);
}

void __kmpc_for_static_init_8(void* /*location*/, std::int32_t thread, std::int32_t /*schedule*/,
                              std::int32_t* last, std::int64_t* lower, std::int64_t* upper,
                              std::int64_t* /*stride*/, std::int64_t /*step*/,
                              std::int64_t /*chunk*/) {
    own_part(thread, last, lower, upper);
}

void __kmpc_for_static_init_8u(void* /*location*/, std::int32_t thread, std::int32_t /*schedule*/,
                               std::int32_t* last, std::uint64_t* lower, std::uint64_t* upper,
                               std::int64_t* /*stride*/, std::int64_t /*step*/,
                               std::int64_t /*chunk*/) {
    own_part(thread, last, lower, upper);
}

void __kmpc_for_static_fini(void* /*location*/, std::int32_t /*thread*/) {}

#else

// GCC's loops: https://gcc.gnu.org/onlinedocs/libgomp/ (Implementing PARALLEL construct). The loop
// itself asks for its thread's number and the size of the team.
void GOMP_parallel(void (*loop)(void*), void* variables, unsigned threads, unsigned /*flags*/) {
    const int size = threads > 0 ? static_cast<int>(threads) : omp_get_max_threads();
    realesrgan::run_team(size, [&](int /*member*/) { loop(variables); });
}

#endif

}  // extern "C"

#endif

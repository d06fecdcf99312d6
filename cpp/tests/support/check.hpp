#pragma once

#include <cmath>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <functional>
#include <iomanip>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

// A minimal test framework, so that building the tests needs no other package.
namespace check {

// With a sanitizer, what runs the same code over many random inputs takes a few of them: it runs
// several times as long, and finds errors of the code, not of single values.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
#else
constexpr bool kSanitized = false;
#endif

struct Case {
    std::string name;
    std::function<void()> body;
};

struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Skip : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline std::vector<Case>& cases() {
    static std::vector<Case> all;
    return all;
}

struct Register {
    Register(const std::string& name, std::function<void()> body) {
        cases().push_back({name, std::move(body)});
    }
};

[[noreturn]] inline void fail(const char* file, int line, const std::string& what) {
    std::ostringstream text;
    text << file << ":" << line << ": " << what;
    throw Failure(text.str());
}

template <typename A, typename B>
void equal(const char* file, int line, const char* text, const A& a, const B& b) {
    if (!(a == b)) {
        std::ostringstream what;
        what << text << ": " << a << " is not " << b;
        fail(file, line, what.str());
    }
}

template <typename A, typename B>
void below(const char* file, int line, const char* text, const A& a, const B& limit) {
    if (!(a < limit)) {
        std::ostringstream what;
        what << text << ": " << a << " is not below " << limit;
        fail(file, line, what.str());
    }
}

// Runs `body`, which must throw an Expected whose message contains every one of `parts`.
template <typename Expected>
void throws(const char* file, int line, const std::vector<std::string>& parts,
            const std::function<void()>& body) {
    try {
        body();
    } catch (const Expected& error) {
        for (const std::string& part : parts) {
            if (std::string(error.what()).find(part) == std::string::npos) {
                fail(file, line, "no '" + part + "' in: " + error.what());
            }
        }
        return;
    } catch (const std::exception& error) {
        fail(file, line, std::string("another kind of error: ") + error.what());
    }
    fail(file, line, "nothing was thrown");
}

// Runs every case; 0 when all pass, 1 when one fails, 77 when all were skipped.
inline int run_all() {
    int failed = 0;
    std::size_t skipped = 0;
    for (const Case& test : cases()) {
        // Processor time of all threads: what a case costs, on a busy machine too.
        const std::clock_t begin = std::clock();
        try {
            test.body();
            const auto spent = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
            std::cout << "passed  " << test.name << " (" << std::fixed << std::setprecision(1)
                      << spent << " s)\n"
                      << std::defaultfloat << std::setprecision(6);
        } catch (const Skip& reason) {
            ++skipped;
            std::cout << "skipped " << test.name << ": " << reason.what() << '\n';
        } catch (const std::exception& error) {
            ++failed;
            std::cout << "FAILED  " << test.name << ": " << error.what() << '\n';
        }
    }
    constexpr int kAllSkipped = 77;
    return failed > 0 ? 1 : skipped == cases().size() ? kAllSkipped : 0;
}

}  // namespace check

#define CHECK_JOIN2(a, b) a##b
#define CHECK_JOIN(a, b) CHECK_JOIN2(a, b)
#define TEST_CASE(name)                                                                        \
    static void CHECK_JOIN(case_, __LINE__)();                                                 \
    static const check::Register CHECK_JOIN(register_, __LINE__)(name,                         \
                                                                 CHECK_JOIN(case_, __LINE__)); \
    static void CHECK_JOIN(case_, __LINE__)()
#define CHECK(condition)                                        \
    do {                                                        \
        if (!(condition)) {                                     \
            check::fail(__FILE__, __LINE__, "not " #condition); \
        }                                                       \
    } while (false)
#define CHECK_EQUAL(a, b) check::equal(__FILE__, __LINE__, #a, a, b)
#define CHECK_NEAR(a, b, tolerance) CHECK(std::abs((a) - (b)) <= (tolerance))
#define CHECK_BELOW(a, limit) check::below(__FILE__, __LINE__, #a, a, limit)
#define CHECK_THROWS(Error, parts, ...) \
    check::throws<Error>(__FILE__, __LINE__, parts, [&] { __VA_ARGS__; })

#include "stream/executor.hpp"

#include <algorithm>
#include <deque>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "base/host_clock.hpp"
#include "base/integers.hpp"
#include "base/interruption.hpp"
#include "image/array_rows.hpp"
#include "image/image_view.hpp"
#include "image/result_check.hpp"
#include "plan/plane_window.hpp"
#include "program/flops.hpp"

namespace realesrgan {

namespace {

// Where the samples of a run come from and go to.
class SampleTransfer {
  public:
    virtual ~SampleTransfer() = default;
    virtual void fill(Session& session, RowRange rows) = 0;
    // Takes the rows of the oldest step, also where there are none.
    virtual void take(Session& session, RowRange rows) = 0;
};

class RowTransfer final : public SampleTransfer {
  public:
    RowTransfer(RowSource& source, int column, RowSink& sink, const Program& program,
                StreamRecord& record)
        : source_(source), column_(column), sink_(sink), program_(program), record_(record) {}

    void fill(Session& session, RowRange rows) override {
        const MutableImageView view = session.input_rows(static_cast<int>(rows.count));
        source_.read(static_cast<int>(rows.first) - program_.border, column_, view);
        record_.input_sum += sum_of_samples(as_const(view));
        record_.input_samples += product(view.width, view.height, view.channels);
    }

    void take(Session& session, RowRange rows) override {
        const ImageView view = session.output_rows();
        if (rows.count == 0) return;
        see(view);
        const int scale = program_.scale();
        sink_.write(static_cast<int>(rows.first) - program_.border * scale, column_ * scale, view);
    }

  private:
    // The final check needs only to know whether there is a sample that is not black.
    void see(const ImageView& rows) {
        ImageView row = rows;
        row.height = 1;
        for (int y = 0; y < rows.height && record_.largest_result < kBlack; ++y) {
            record_.largest_result = std::max(record_.largest_result, largest_sample(row));
            row.data += rows.row_stride;
        }
    }

    RowSource& source_;
    int column_;
    RowSink& sink_;
    const Program& program_;
    StreamRecord& record_;
};

class PlaneTransfer final : public SampleTransfer {
  public:
    PlaneTransfer(const YuvView& source, const MutableYuvView& target, const SessionFormat& format,
                  StreamRecord& record)
        : source_(source), target_(target), format_(format), record_(record) {}

    void fill(Session& session, RowRange rows) override {
        const PlaneWindow window = window_to_load(*format_.input_planes, rows);
        record_.input_sum += load_planes(source_, window, session.input_planes());
        record_.input_samples += product(window.luma.count, source_.width);
    }

    void take(Session& session, RowRange rows) override {
        const std::byte* from = session.output_planes();
        const PlaneWindow window = window_to_store(*format_.output_planes, rows);
        if (record_.largest_result < kBlack && !is_black(from, window, *format_.output_planes)) {
            record_.largest_result = 1.0F;
        }
        store_planes(from, window, target_);
    }

  private:
    const YuvView& source_;
    const MutableYuvView& target_;
    const SessionFormat& format_;
    StreamRecord& record_;
};

// Adds the times of one session's steps to a profile; does nothing without one.
class StepTimer {
  public:
    StepTimer(RunProfile* profile, const ExecutionPlan& plan, Session& session)
        : profile_(profile), plan_(plan), session_(session) {
        if (profile_ != nullptr) session_.time_steps();
    }

    // Calls `work`, which is this of the band submitted next.
    template <typename Work>
    void host(ProfiledWork kind, const Work& work) {
        if (profile_ == nullptr) return work();
        const double begin = host_seconds();
        work();
        add({kind, profile_->bands, -1, {}, begin, host_seconds()});
    }

    void submitted(const Step& step) {
        if (profile_ == nullptr) return;
        steps_.push_back({profile_->bands++, step.commands, {}});
    }

    // Calls `work`, which takes the oldest step's rows.
    template <typename Work>
    void take(const Work& work) {
        if (profile_ == nullptr) return work();
        const double begin = host_seconds();
        work();
        TimedStep& step = steps_[taken_++];
        step.times = session_.step_times();
        const double waited = std::max(begin, step.times.wait_end);  // the CPU's is before
        add({ProfiledWork::wait, step.band, -1, {}, begin, waited});
        add({ProfiledWork::take, step.band, -1, {}, waited, host_seconds()});
    }

    void end() {
        if (profile_ == nullptr) return;
        const double offset = clock_offset();
        double free = 0.0;  // the queue that downloads
        for (const TimedStep& step : steps_) {
            const double computed = add_commands(step, offset);
            if (step.times.copy) free = add_download(step, std::max(computed, free));
        }
    }

  private:
    struct TimedStep {
        int band = 0;
        std::vector<Command> commands;
        StepTimes times;
    };

    void add(ProfiledInterval interval) { profile_->intervals.push_back(std::move(interval)); }

    // From the device's clock to the host's: so that no step begins before it was submitted.
    double clock_offset() const {
        double offset = -std::numeric_limits<double>::infinity();
        for (const TimedStep& step : steps_) {
            if (step.times.commands.empty()) continue;
            if (step.times.host_clock) return 0.0;
            offset = std::max(offset, step.times.submitted - step.times.commands.front().begin);
        }
        return offset;
    }

    // Returns its end.
    double add_download(const TimedStep& step, double begin) {
        const TimedCopy& copy = *step.times.copy;
        if (!copy.seconds) {
            profile_->untimed_downloads = true;
            return begin;
        }
        const double end = begin + *copy.seconds;
        add({ProfiledWork::download, step.band, -1, "copy", begin, end, 0.0,
             static_cast<double>(copy.bytes)});
        return end;
    }

    // What a command computes and moves is counted with its first part. Returns the last one's end.
    double add_commands(const TimedStep& step, double offset) {
        double end = 0.0;
        std::size_t next = 0;  // command that has no part yet
        for (const TimedCommand& part : step.times.commands) {
            const Command& command = step.commands[part.command];
            ProfiledInterval interval{work_of(command),
                                      step.band,
                                      command.kind == CommandKind::run ? command.index : -1,
                                      part.kernel,
                                      part.begin + offset,
                                      part.end + offset};
            if (part.command >= next) {
                next = part.command + 1;
                interval.flops = flops_of(command);
                interval.bytes = plan_.bytes_of(command);
            }
            end = std::max(end, interval.end);
            add(std::move(interval));
        }
        return end;
    }

    static ProfiledWork work_of(const Command& command) {
        switch (command.kind) {
            case CommandKind::input:
                return ProfiledWork::load;
            case CommandKind::run:
                return ProfiledWork::operation;
            case CommandKind::output:
                return ProfiledWork::store;
            case CommandKind::halo:
                break;
        }
        return ProfiledWork::halo;
    }

    double flops_of(const Command& command) const {
        if (command.kind != CommandKind::run) return 0.0;
        const double second = command.pair ? flops_of(command, command.index + 1) : 0.0;
        return flops_of(command, command.index) + second;
    }

    double flops_of(const Command& command, int index) const {
        const Op& op = plan_.program().ops[idx(index)];
        if (op.convolution < 0) return 0.0;
        const ConvolutionShape& shape = plan_.program().convolutions[idx(op.convolution)];
        return convolution_flops(
            shape, static_cast<double>(command.rows.count) * plan_.tensor_width(op.output.tensor));
    }

    RunProfile* profile_;
    const ExecutionPlan& plan_;
    Session& session_;
    std::vector<TimedStep> steps_;
    std::size_t taken_ = 0;
};

// The rows of a step are taken when `bands_in_flight` steps are running.
void run_steps(const Backend& backend, const std::shared_ptr<const ExecutionPlan>& plan,
               SampleTransfer& transfer, const Progress& progress, StreamRecord& record) {
    const std::shared_ptr<Session> session = backend.start(plan);
    StepTimer timer(record.profile, *plan, *session);
    std::deque<RowRange> waiting;
    const auto take = [&] {
        const RowRange rows = waiting.front();
        waiting.pop_front();
        timer.take([&] { transfer.take(*session, rows); });
        if (rows.count > 0 && record.first_not_finite.count == 0 && session->not_finite() > 0) {
            record.first_not_finite = rows;
        }
    };
    double fraction = 0.0;
    const Interruptible interruptible([&] {
        if (progress) progress(fraction);
    });
    const int depth = std::max(1, backend.storage().bands_in_flight);
    const int steps = plan->steps();
    for (int i = 0; i < steps; ++i) {
        const Step step = plan->step(i);
        if (step.input.count > 0) {
            timer.host(ProfiledWork::fill, [&] { transfer.fill(*session, step.input); });
        }
        timer.host(ProfiledWork::submit, [&] { session->run(step); });
        timer.submitted(step);
        waiting.push_back(step.output);
        while (ssize(waiting) >= depth) take();
        fraction = (i + 1.0) / steps;
        if (progress) progress(fraction);
    }
    while (!waiting.empty()) take();
    timer.end();
    record.not_finite += session->not_finite();
    record.allocated_bytes = std::max(record.allocated_bytes, session->allocated_bytes());
    record.dispatches += session->dispatches();
}

}  // namespace

void run_plan(const Backend& backend, const std::shared_ptr<const ExecutionPlan>& plan,
              RowSource& source, int column, RowSink& sink, const Progress& progress,
              StreamRecord& record) {
    RowTransfer transfer(source, column, sink, plan->program(), record);
    run_steps(backend, plan, transfer, progress, record);
}

void run_plan(const Backend& backend, const std::shared_ptr<const ExecutionPlan>& plan,
              const YuvView& source, const MutableYuvView& target, const Progress& progress,
              StreamRecord& record) {
    PlaneTransfer transfer(source, target, plan->config().format, record);
    run_steps(backend, plan, transfer, progress, record);
}

}  // namespace realesrgan

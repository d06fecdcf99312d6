#include "stream/executor.hpp"

#include <algorithm>
#include <deque>
#include <memory>

#include "base/integers.hpp"
#include "base/interruption.hpp"
#include "image/array_rows.hpp"
#include "image/image_view.hpp"
#include "image/result_check.hpp"
#include "plan/plane_window.hpp"

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
    RowTransfer(RowSource& source, int column, RowSink& sink, int scale, StreamRecord& record)
        : source_(source), column_(column), sink_(sink), scale_(scale), record_(record) {}

    void fill(Session& session, RowRange rows) override {
        const MutableImageView view = session.input_rows(static_cast<int>(rows.count));
        source_.read(static_cast<int>(rows.first), column_, view);
        record_.input_sum += sum_of_samples(as_const(view));
        record_.input_samples += product(view.width, view.height, view.channels);
    }

    void take(Session& session, RowRange rows) override {
        const ImageView view = session.output_rows();
        if (rows.count == 0) return;
        see(view);
        sink_.write(static_cast<int>(rows.first), column_ * scale_, view);
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
    int scale_;
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

// The rows of a step are taken when `bands_in_flight` steps are running.
void run_steps(const Backend& backend, const std::shared_ptr<const ExecutionPlan>& plan,
               SampleTransfer& transfer, const Progress& progress, StreamRecord& record) {
    const std::shared_ptr<Session> session = backend.start(plan);
    std::deque<RowRange> waiting;
    const auto take = [&] {
        const RowRange rows = waiting.front();
        waiting.pop_front();
        transfer.take(*session, rows);
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
        if (step.input.count > 0) transfer.fill(*session, step.input);
        session->run(step);
        waiting.push_back(step.output);
        while (ssize(waiting) >= depth) take();
        fraction = (i + 1.0) / steps;
        if (progress) progress(fraction);
    }
    while (!waiting.empty()) take();
    record.not_finite += session->not_finite();
    record.allocated_bytes = std::max(record.allocated_bytes, session->allocated_bytes());
    record.dispatches += session->dispatches();
}

}  // namespace

void run_plan(const Backend& backend, const std::shared_ptr<const ExecutionPlan>& plan,
              RowSource& source, int column, RowSink& sink, const Progress& progress,
              StreamRecord& record) {
    RowTransfer transfer(source, column, sink, plan->program().scale(), record);
    run_steps(backend, plan, transfer, progress, record);
}

void run_plan(const Backend& backend, const std::shared_ptr<const ExecutionPlan>& plan,
              const YuvView& source, const MutableYuvView& target, const Progress& progress,
              StreamRecord& record) {
    PlaneTransfer transfer(source, target, plan->config().format, record);
    run_steps(backend, plan, transfer, progress, record);
}

}  // namespace realesrgan

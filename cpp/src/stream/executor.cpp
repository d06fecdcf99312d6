#include "stream/executor.hpp"

#include <algorithm>
#include <deque>
#include <memory>

#include "base/integers.hpp"
#include "base/interruption.hpp"
#include "image/array_rows.hpp"
#include "image/image_view.hpp"
#include "image/result_check.hpp"

namespace realesrgan {

namespace {

// Keeps track of the steps in flight; the rows of a step are taken some steps later.
class Pass {
  public:
    Pass(Session& session, RowSink& sink, int column, StreamRecord& record)
        : session_(session), sink_(sink), column_(column), record_(record) {}

    void submit(const Step& step) {
        session_.run(step);
        waiting_.push_back(step.output);
    }

    int in_flight() const { return ssize(waiting_); }

    void take() {
        const RowRange rows = waiting_.front();
        waiting_.pop_front();
        const ImageView view = session_.output_rows();
        if (rows.count == 0) return;
        if (record_.first_not_finite.count == 0 && session_.not_finite() > 0)
            record_.first_not_finite = rows;
        see(view);
        sink_.write(static_cast<int>(rows.first), column_, view);
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

    Session& session_;
    RowSink& sink_;
    int column_;
    StreamRecord& record_;
    std::deque<RowRange> waiting_;
};

}  // namespace

void run_plan(const Backend& backend, const std::shared_ptr<const ExecutionPlan>& plan,
              RowSource& source, int column, RowSink& sink, const Progress& progress,
              StreamRecord& record) {
    const std::shared_ptr<Session> session = backend.start(plan);
    Pass pass(*session, sink, column * plan->program().scale(), record);
    double fraction = 0.0;
    const Interruptible waiting([&] {
        if (progress) progress(fraction);
    });
    const int depth = std::max(1, backend.storage().bands_in_flight);
    const int steps = plan->steps();
    for (int i = 0; i < steps; ++i) {
        const Step step = plan->step(i);
        if (step.input.count > 0) {
            const MutableImageView rows = session->input_rows(static_cast<int>(step.input.count));
            source.read(static_cast<int>(step.input.first), column, rows);
            record.input_sum += sum_of_samples(as_const(rows));
            record.input_samples += product(rows.width, rows.height, rows.channels);
        }
        pass.submit(step);
        while (pass.in_flight() >= depth) pass.take();
        fraction = (i + 1.0) / steps;
        if (progress) progress(fraction);
    }
    while (pass.in_flight() > 0) pass.take();
    record.not_finite += session->not_finite();
    record.allocated_bytes = std::max(record.allocated_bytes, session->allocated_bytes());
    record.dispatches += session->dispatches();
}

}  // namespace realesrgan

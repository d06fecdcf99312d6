#pragma once

#include "base/fault_injection.hpp"

// Whatever a test has armed is disarmed when its case ends, also by a failed check.
struct DisarmAtEnd {
    DisarmAtEnd() = default;
    DisarmAtEnd(const DisarmAtEnd&) = delete;
    DisarmAtEnd& operator=(const DisarmAtEnd&) = delete;

    ~DisarmAtEnd() {
        realesrgan::Faults& all = realesrgan::faults();
        for (realesrgan::Fault* fault :
             {&all.host_allocation, &all.allocation, &all.creation, &all.submission, &all.wait,
              &all.hang, &all.result, &all.self_test, &all.rounding}) {
            fault->disarm();
        }
        all.no_timestamps = false;
        all.no_copy_timestamps = false;
        all.most_groups = 0;
    }
};

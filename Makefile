# From a bare checkout: `make demo` upscales a photograph, `make test` runs every test.
PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
ZIG ?= ziglang==0.17.1
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
# With CI set, what a newer compiler or library warns of fails the build or the test; elsewhere it is only shown.
STRICT := $(if $(CI),ON,OFF)
WHEEL := $(if $(CI),--config-settings=cmake.define.REALESRGAN_VK_WERROR=ON) .
# Several tests at a time; OpenMP's threads are to sleep while they wait, not to take the cores from the others.
PYTEST := OMP_WAIT_POLICY=PASSIVE $(abspath $(BIN))/python -m pytest $(if $(CI),-W error) \
    --numprocesses auto --maxprocesses 4 --dist worksteal
SOURCES := $(shell find cpp cmake python models -type f -not -name '*.pyc') CMakeLists.txt pyproject.toml
TRAINING := $(shell find training/realesrgan_train -type f -not -name '*.pyc') training/pyproject.toml
EXPORT := $(shell find tools/export/realesrgan_export -type f -not -name '*.pyc') tools/export/pyproject.toml

.PHONY: demo dev check test lint lock test-cpp test-asan test-tsan test-neon test-fuzz fuzz-networks fuzz-pictures test-validation test-validation-matrix test-python test-python-slow test-training test-training-slow test-export test-export-page test-export-slow test-trixie test-wine compile-macos bench wheels bundle docs clean

demo: $(VENV)/.core
	$(PIP) install scikit-image
	$(BIN)/python tools/demo.py demo

# Linters are not part of it: what a newer one says is nothing that a test run should fail on.
test: test-cpp test-python test-training test-export

$(VENV)/.created:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or later is needed; set PYTHON=")'
	PYTHON=$(PYTHON) tools/system-packages
	$(PYTHON) -m venv $(VENV)
	touch $@

# The wheel as a user gets it; the first build takes ncnn from the package index and builds it into a cache.
$(VENV)/.core: $(VENV)/.created $(SOURCES)
	@echo 'building the core (the first time ncnn too, which takes most of the time)'
	REALESRGAN_VK_PROGRESS="/proc/$$$$/fd/2" $(PIP) install $(WHEEL)
	rm -f $(VENV)/.dev
	touch $@

# For work on the Python side: an edit under python/ is seen at once, and a change of the core builds it again.
dev: $(VENV)/.dev
$(VENV)/.dev: $(VENV)/.created tools/requirements/core.txt $(shell find cpp cmake models -type f) CMakeLists.txt pyproject.toml
	$(PIP) install --editable $(WHEEL)
	tools/install-locked $(BIN)/python core 'realesrgan-vk[test,dev]'
	rm -f $(VENV)/.core $(VENV)/.test
	touch $@

# The inner loop, less than two minutes: linters, types, and the tests that need no long runs of a network.
QUICK := tests/models/test_manifest.py tests/models/test_models.py tests/batch/test_jobs.py tests/batch/test_outputs.py \
    $(addprefix tests/image_io/test_,alpha.py conversions.py formats.py image_io.py rows.py tiff.py) tests/cli/test_messages.py \
    $(addprefix tests/test_,imports.py import_graph.py include_graph.py odd_arguments.py one_call.py sizes.py upscaler.py)
check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $$(git diff --name-only --diff-filter=d HEAD -- '*.cpp' '*.hpp') </dev/null
	$(BIN)/mypy python
	$(PYTEST) $(QUICK)

# By its name the installed wheel is not built again.
$(VENV)/.test: $(VENV)/.core tools/requirements/core.txt
	tools/install-locked $(BIN)/python core 'realesrgan-vk[test,dev]'
	touch $@

# What training and the exporter need beside PyTorch, with their tests' and tools' packages.
$(VENV)/.torch: $(VENV)/.test tools/requirements/torch.txt
	$(PIP) install '$(TORCH)'
	tools/install-locked $(BIN)/python torch './training[test,dev]' './tools/export[test,dev]'
	touch $@

$(VENV)/.training: $(VENV)/.torch $(TRAINING)
	$(PIP) install --no-deps ./training
	touch $@

$(VENV)/.export: $(VENV)/.training $(EXPORT)
	$(PIP) install --no-deps ./tools/export
	touch $@

# Renews the locked versions of tools and test dependencies, for all Pythons at once.
lock: $(VENV)/.created
	$(PIP) install uv
	tools/lock $(abspath $(BIN))/uv

lint: $(VENV)/.export
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $$(git ls-files '*.cpp' '*.hpp')
	$(BIN)/mypy
	$(BIN)/stubtest realesrgan_vk._core --allowlist tools/stubtest-allowlist.txt
	cd training && ../$(BIN)/mypy
	cd tools/export && ../../$(BIN)/mypy
	$(PIP) install zizmor==1.32.0
	tools/lint-workflows $(BIN)

# The library and headers of VapourSynth, for the test of the plugin.
VAPOURSYNTH := build/vapoursynth
$(VAPOURSYNTH)/.installed: $(VENV)/.created tools/requirements/vapoursynth.txt
	tools/install-vapoursynth $(BIN)/python $(VAPOURSYNTH)
	mkdir -p $(VAPOURSYNTH)
	touch $@

# The wheel has built the extension already: here only the library and its tests. ctest keeps the reasons of
# skipped cases to its log.
test-cpp: $(VENV)/.test $(VAPOURSYNTH)/.installed
	$(call ctest,default)
	tools/second-driver build/default/cpp/tests

# The same under AddressSanitizer: it takes as long as half of the other tests together, so not part of `make test`.
# Mutated networks are those of `make test-fuzz`.
test-asan: $(VENV)/.test $(VAPOURSYNTH)/.installed
	$(call ctest,asan)

# What several threads do at once, under ThreadSanitizer. Only the tests that the preset runs are built.
test-tsan: $(VENV)/.test
	$(call ctest,tsan)

define build-cpp
	PATH="$(abspath $(BIN)):$$PATH" cmake --preset $(1) -DREALESRGAN_VK_PYTHON=OFF -DREALESRGAN_VK_WERROR=$(STRICT) \
	    $(if $(wildcard $(VAPOURSYNTH)/vapoursynth/.),-DREALESRGAN_VK_VAPOURSYNTH=$(abspath $(VAPOURSYNTH)))
	$(BIN)/cmake --build --preset $(1)
endef

define ctest
	$(call build-cpp,$(1))
	$(BIN)/ctest --preset $(1)
	grep '^skipped ' build/$(1)/Testing/Temporary/LastTest.log || echo 'no case was skipped'
endef

# Mutated networks under AddressSanitizer, and damaged pictures, for so many seconds each. A case depends on its number and the seed alone.
FUZZ_SECONDS ?= 600
FUZZ_SEED ?= 1
NETWORKS = $$($(BIN)/python -c 'from realesrgan_vk.models import find_model; print(find_model("realesr-animevideov3-x2").param)')
test-fuzz: $(VENV)/.test
	$(call build-cpp,asan)
	$(MAKE) --jobs=2 --output-sync fuzz-networks fuzz-pictures

# Each of them keeps one core busy: they run side by side.
fuzz-networks:
	LSAN_OPTIONS=suppressions=cpp/tests/support/leaks.supp build/asan/cpp/tests/fuzz_network --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED) --network "$(NETWORKS)"
fuzz-pictures:
	$(BIN)/python tests/fuzz_image_io.py $(FUZZ_SECONDS)s $(FUZZ_SEED)

# The CPU's convolution on AArch64, under an emulator where this processor is another one.
test-neon: $(VENV)/.test
	PATH="$(abspath $(BIN)):$$PATH" tools/neon-tests build/neon

# The Vulkan tests under the validation layers: minutes, so not part of `make test`. On the second driver, too, where there is
# one: only newer layers know cooperative matrices, and only such a driver runs the kernels that use them.
VALIDATED := $(addprefix tests/core/test_,kernels.py stream_vulkan.py core_tiles.py core_binding.py roofline.py) \
	tests/test_upscaler_vulkan.py
test-validation: $(VENV)/.test
	$(call build-cpp,default)
	$(BIN)/python tools/validation.py build/default $(VALIDATED)
	$(if $(REALESRGAN_VK_SOFTGPU),$(BIN)/python tools/validation.py --runner $(REALESRGAN_VK_SOFTGPU) build/default $(VALIDATED),\
	    @echo 'REALESRGAN_VK_SOFTGPU names no program: the first driver only')

# The C++ tests on the second driver only: two and a half minutes of processor time.
test-validation-matrix: $(VENV)/.test
	$(if $(REALESRGAN_VK_SOFTGPU),,$(error REALESRGAN_VK_SOFTGPU names no program that runs another on a second driver))
	$(call build-cpp,default)
	$(BIN)/python tools/validation.py --runner $(REALESRGAN_VK_SOFTGPU) build/default

test-python: $(VENV)/.test
	$(PYTEST) tests

# The official networks at full size: half an hour on Debian stable's software driver, four minutes on a newer one, which
# REALESRGAN_VK_SOFTGPU runs a program on (a real one: the interpreter behind the virtual environment's).
test-python-slow: $(VENV)/.test
	PYTHONPATH=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
	    $(REALESRGAN_VK_SOFTGPU) $$(readlink -f $(BIN)/python) -m pytest tests -m slow

test-training: $(VENV)/.training
	cd training && OMP_NUM_THREADS=1 $(PYTEST) tests

# The recipes' twins at the length that shows more: minutes.
test-training-slow: $(VENV)/.training
	cd training && OMP_NUM_THREADS=1 ../$(BIN)/python -m pytest tests -m slow

test-export: $(VENV)/.export
	cd tools/export && OMP_NUM_THREADS=1 $(PYTEST) tests

# The page "train, export, upscale", from photographs to a picture enlarged by the network just trained.
test-export-page: $(VENV)/.export
	cd tools/export && ../../$(BIN)/python -m pytest tests/test_example.py -m slow

# Full-size networks, the official ones, and the page "train, export, upscale": minutes, several GB.
test-export-slow: $(VENV)/.export
	cd tools/export && ../../$(BIN)/python -m pytest tests -m slow

# Linux wheels into dist/, of those Pythons whose headers are here: PYTHONS="--python 3.13 --headers 3.14=FOLDER". Half an
# hour of processor time from nothing; the compiler is fixed, so that a commit gives the same wheels.
wheels: $(VENV)/.created
	$(PIP) install auditwheel check-wheel-contents cmake ninja packaging pybind11 scikit-build-core twine unearth $(ZIG)
	$(BIN)/python tools/wheels.py $(PYTHONS)

# The C++ tests, and two pictures against the installed package's, by the core for 64-bit Windows, compiled by Zig, under
# Wine (Debian: wine64). Half an hour of processor time from nothing.
test-wine: $(VENV)/.test
	$(PIP) install cmake ninja unearth $(ZIG)
	$(BIN)/python tools/wine_tests.py

# The core and the extension compiled for macOS on both processors; nothing is linked or run.
compile-macos: $(VENV)/.core
	$(PIP) install cmake ninja pybind11 $(ZIG)
	$(BIN)/python tools/compile_check.py

# The README's two commands in a fresh Debian 13 (Python 3.13, GCC 14), then the C++ tests with its clang, too. Needs root
# and debootstrap; an hour on two cores.
test-trixie:
	tools/trixie-test

# The portable folder and its archive, for systems whose C library is not older than this one's: dist/*.zip. In a bare
# Debian (root and debootstrap) `tools/bundle/chroot-test dist/*.zip .venv/bin` compares its pictures with the program's.
bundle: $(VENV)/.core
	$(PIP) install packaging
	$(BIN)/python tools/bundle/bundle.py dist

# The site as static pages, build/docs/index.html. Sphinx needs Python 3.11.
$(VENV)/.docs: $(VENV)/.core tools/requirements/docs.txt
	$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed for the pages; set PYTHON=")'
	tools/install-locked $(BIN)/python docs 'realesrgan-vk[docs]'
	touch $@

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs build/docs
	@echo 'the pages: build/docs/index.html'

bench: $(VENV)/.export
	$(PIP) install openvino
	cd benchmarks && ../$(BIN)/python cpu.py --model realesrgan-x4plus \
	    --engine ours --engine openvino --engine ncnn

clean:
	rm -rf build dist demo $(VENV)

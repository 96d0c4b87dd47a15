# metaloop: `make quickstart`, `make test`, `make` (build/metaloop, build/metaloop-observe); `make help` lists the rest.

BUILD ?= build
ARCH ?= native
OPT ?= -O3
SANITIZE ?=
DEFINES ?=
PREFIX ?= /usr/local
DESTDIR ?=
ifeq ($(origin CC),default) # make's own cc does not win; yours, from the environment or the command line, does
CC = gcc
endif
V ?= 0
Q = $(if $(filter-out 0,$(V)),,@)
say = $(if $(filter-out 0,$(V)),,@echo '  $(1)')
PYTHON = /usr/bin/python3

PACKAGES = ompi-c openblas libprotobuf-c libconfuse jansson libarchive libpng libjpeg zlib libxxhash libzmq
WARNINGS = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-missing-field-initializers -Werror
# No -ffast-math: isfinite must tell the truth. errno and traps of libm are not used.
PKG_CFLAGS = $(eval PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES)))$(PKG_CFLAGS)
PKG_LIBS = $(eval PKG_LIBS := $(shell pkg-config --libs $(PACKAGES)))$(PKG_LIBS)
CFLAGS = -std=c11 -D_GNU_SOURCE $(OPT) -march=$(ARCH) -g -pthread -fno-math-errno -fno-trapping-math \
         -fopenmp-simd $(WARNINGS) $(SANITIZE) $(DEFINES) -I. -I$(BUILD) $(PKG_CFLAGS)
LDLIBS = $(PKG_LIBS) -lcsv -lm -pthread

# The part of the observer that tests and fuzz targets call.
OBSERVE_CORE = observer/model/event.c observer/source/name.c observer/source/line.c observer/source/decode.c observer/model/model.c observer/model/model_event.c \
               observer/model/model_series.c observer/model/model_note.c observer/view/chart.c
PROTO_C = $(BUILD)/proto/metaloop.pb-c.c
MAINS = launch/metaloop.c launch/session.c
SOURCES = $(wildcard core/*/*.c core/*/*/*.c proto/*.c proto/*/*.c worker/*.c worker/*/*.c coordinator/*/*.c launch/*.c) \
          $(OBSERVE_CORE)
OBJECTS = $(SOURCES:%.c=$(BUILD)/%.o) $(PROTO_C:.c=.o)
LIBRARY = $(filter-out $(MAINS:%.c=$(BUILD)/%.o),$(OBJECTS))
TESTS = $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c tests/conform/conform_*.c))
HELPERS = $(BUILD)/tests/lib/checkpoint_writer $(BUILD)/tests/sim/search
FUZZERS = $(patsubst tests/fuzz/fuzz_%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_MAIN = $(BUILD)/tests/fuzz/replay.o
FUZZ_TIME ?= 60
SEARCH_FROM ?= 1
SEARCH_TIME ?= 60
FUZZ_TARGETS ?= all
FUZZ_RESULTS ?=
REVISION = $(shell git describe --always --dirty --exclude='*' 2>/dev/null || cat .revision 2>/dev/null || echo unversioned)

# The observer knows neither MPI nor BLAS: its objects are compiled without their flags, in a folder of their own.
OBSERVE_PACKAGES = libzmq libprotobuf-c jansson ncursesw libmicrohttpd cairo
OBSERVE_SOURCES = $(wildcard observer/*.c observer/*/*.c) proto/stream/sink.c proto/stream/sink_jsonl.c proto/stream/keys.c proto/stream/event.c \
                  core/base/err.c core/base/nearest.c core/base/outfile.c core/base/utf8.c core/base/habitat.c
OBSERVE_PROTO = $(BUILD)/proto/metaloop.pb-c.c $(BUILD)/proto/tensorboard.pb-c.c
OBSERVE_OBJECTS = $(OBSERVE_SOURCES:%.c=$(BUILD)/observe/%.o) $(OBSERVE_PROTO:$(BUILD)/%.c=$(BUILD)/observe/%.o)
OBSERVE_CFLAGS = -std=c11 -D_GNU_SOURCE $(OPT) -march=$(ARCH) -g -pthread -fno-math-errno $(WARNINGS) $(SANITIZE) \
                 $(DEFINES) -DDYGRAPHS='"$(DYGRAPHS)"' -I. -I$(BUILD) $(eval OBSERVE_PKG := $(shell pkg-config --cflags $(OBSERVE_PACKAGES)))$(OBSERVE_PKG)
DYGRAPHS ?= /usr/share/javascript/dygraphs
OBSERVE_LIBS = $(shell pkg-config --libs $(OBSERVE_PACKAGES)) -lm -pthread

all: $(BUILD)/metaloop $(BUILD)/metaloop-session $(BUILD)/metaloop-observe

$(BUILD)/metaloop: $(BUILD)/launch/metaloop.o $(BUILD)/libmetaloop.a
	$(call say,LD $@)
	$(Q)$(CC) $(SANITIZE) $(OPT) -o $@ $^ $(LDLIBS)

$(BUILD)/metaloop-session: $(BUILD)/launch/session.o $(BUILD)/launch/noise.o
	$(call say,LD $@)
	$(Q)$(CC) $(SANITIZE) $(OPT) -o $@ $^

$(BUILD)/metaloop-observe: $(OBSERVE_OBJECTS)
	$(call say,LD $@)
	$(Q)$(CC) $(SANITIZE) $(OPT) -o $@ $^ $(OBSERVE_LIBS)

$(BUILD)/observe/%.o: %.c $(BUILD)/flags | have-observe-packages $(OBSERVE_PROTO)
	@mkdir -p $(@D)
	$(call say,CC $< (observer))
	$(Q)$(CC) $(OBSERVE_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/observe/observer/version.o: $(BUILD)/build_revision.h

$(BUILD)/observe/observer/view/page.o: $(wildcard observer/view/page/*) $(wildcard $(DYGRAPHS)/*.min.*)

$(BUILD)/observe/proto/%.pb-c.o: $(BUILD)/proto/%.pb-c.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(OBSERVE_CFLAGS) -Wno-error -c -o $@ $<

$(BUILD)/libmetaloop.a: $(LIBRARY)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/%.o: %.c $(BUILD)/flags | have-packages $(PROTO_C)
	@mkdir -p $(@D)
	$(call say,CC $<)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/proto/%.pb-c.c: proto/%.proto | have-protoc
	@mkdir -p $(@D)
	$(Q)protoc-c --c_out=$(BUILD) $<

$(BUILD)/proto/%.pb-c.o: $(BUILD)/proto/%.pb-c.c $(BUILD)/flags
	$(Q)$(CC) $(CFLAGS) -Wno-error -c -o $@ $<

$(BUILD)/tests/%: tests/%.c $(BUILD)/libmetaloop.a
	@mkdir -p $(@D)
	$(call say,CC $<)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -o $@ $< $(BUILD)/libmetaloop.a $(LDLIBS) -lcmocka

$(BUILD)/bench/%: bench/%.c $(BUILD)/libmetaloop.a
	@mkdir -p $(@D)
	$(call say,CC $<)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -o $@ $< $(BUILD)/libmetaloop.a $(LDLIBS)

# One program per parser: its corpus once through, or with FUZZ_MAIN=-fsanitize=fuzzer mutations of it.
$(BUILD)/fuzz/%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/tests/fuzz/map.o $(filter %.o,$(FUZZ_MAIN)) $(BUILD)/libmetaloop.a
	@mkdir -p $(@D)
	$(call say,LD $@)
	$(Q)$(CC) $(SANITIZE) $(OPT) -Wl,--wrap=mmap,--wrap=munmap -o $@ $< $(BUILD)/tests/fuzz/map.o $(FUZZ_MAIN) \
	    $(BUILD)/libmetaloop.a $(LDLIBS)

# Rewritten only if the revision changes, so that an unchanged tree is not linked again.
$(BUILD)/build_revision.h: FORCE
	@mkdir -p $(@D)
	@echo '#define REVISION "$(REVISION)"' > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
$(BUILD)/launch/version.o: $(BUILD)/build_revision.h

# Flags that can change bits. The file is rewritten only if they change.
BIT_FLAGS = $(strip $(OPT) -march=$(ARCH) $(SANITIZE) $(DEFINES))
$(BUILD)/build_flags.h: FORCE
	@mkdir -p $(@D)
	@echo '#define BUILD_FLAGS "$(subst ",,$(BIT_FLAGS))"' > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
$(BUILD)/core/base/machine.o: $(BUILD)/build_flags.h

# Every object depends on how it is compiled: other flags compile all anew.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(BIT_FLAGS) $(WARNINGS) $(DYGRAPHS)' > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
FORCE:

tests-build: $(TESTS) $(HELPERS) $(FUZZERS)

fuzzers: $(FUZZERS)

# Missing packages are named before anything is compiled.
have-packages:
	@launch/install-deps --check build '$(PACKAGES)' protoc-c csv.h Random123/philox.h stb/stb_image_resize.h

have-protoc:
	@launch/install-deps --check $(if $(filter observe,$(MAKECMDGOALS)),observe,build) '' protoc-c

have-observe-packages:
	@launch/install-deps --check observe '$(OBSERVE_PACKAGES)' protoc-c

# On a laptop: neither MPI nor BLAS (launch/install-deps observe).
observe: $(BUILD)/metaloop-observe

quickstart:
	@echo 'make quickstart: installs what is missing (launch/install-deps build; as root or with sudo), compiles (about half a'
	@echo 'minute), then trains on built-in data and measures (about a minute on two cores). It writes build/ and runs/quickstart.'
	@launch/install-deps build
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@launch/quickstart

# The double build proves the derivatives; the float build runs everything.
test:
	@echo 'make test: installs what is missing (launch/install-deps test; as root or with sudo), compiles twice, then runs every'
	@echo 'test: about eight minutes on two cores. It writes build/ and build64/. One file: $(PYTHON) tests/suite tests/run/test_cli.py'
	@launch/install-deps test
	@$(MAKE) --no-print-directory -j$$(nproc) all tests-build
	@$(MAKE) --no-print-directory -j$$(nproc) BUILD=build64 DEFINES=-DREAL64 all \
	    $(patsubst tests/%.c,build64/tests/%,$(wildcard tests/conform/*.c)) \
	    $(addprefix build64/tests/unit/test_,discrepancy cg prototype)
	@$(PYTHON) tests/suite

# What to run before each commit: no double build, and of the long tests only those that tests/suite lists as quick.
test-quick:
	@launch/install-deps test lint
	@$(MAKE) --no-print-directory -j$$(nproc) all tests-build
	@$(MAKE) --no-print-directory lint
	@$(PYTHON) tests/suite --quick

lint:
	@launch/install-deps lint
	@$(PYTHON) tests/lint.py

# Every C test program under the address and undefined-behaviour sanitizers, and one run of two threads.
check-san:
	@launch/install-deps san
	@$(MAKE) --no-print-directory -j$$(nproc) BUILD=build-san OPT="-O1 -fno-omit-frame-pointer" ARCH=x86-64-v2 \
	    SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=all" all tests-build
	@tests/san build-san

# Every parser under libFuzzer and the sanitizers, one after the other; goes on from where it stopped.
fuzz:
	@tests/fuzz/run --check --time '$(FUZZ_TIME)' --targets '$(FUZZ_TARGETS)' $(if $(FUZZ_RESULTS),--results)
	@launch/install-deps fuzz
	@$(MAKE) --no-print-directory -j$$(nproc) BUILD=build-fuzz CC=clang OPT="-O1 -fno-omit-frame-pointer" \
	    ARCH=x86-64-v2 SANITIZE="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-openmp-simd" \
	    FUZZ_MAIN=-fsanitize=fuzzer fuzzers
	@$(if $(FUZZ_RESULTS),$(MAKE) --no-print-directory -j$$(nproc) build/tests/unit/test_bombs)
	@tests/fuzz/run --time '$(FUZZ_TIME)' --targets '$(FUZZ_TARGETS)' $(if $(FUZZ_RESULTS),--results)

# Beside PyTorch's own double backward, and its modules loading our checkpoints.
check-torch:
	@launch/install-deps test torch
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@$(PYTHON) tests/suite tests/torch/test_torch.py

# The batch script in a private Slurm; make test has it too, where Slurm is installed.
check-slurm:
	@launch/install-deps test slurm
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@$(PYTHON) tests/suite tests/faults/test_slurm.py

# The round's protocol under an adversary in virtual time; a run that fails is one line, with its seed.
search:
	@launch/install-deps test
	@$(MAKE) --no-print-directory -j$$(nproc) $(BUILD)/tests/sim/search
	@$(BUILD)/tests/sim/search --from '$(SEARCH_FROM)' --seconds '$(SEARCH_TIME)'

# What takes an hour: faults at random moments, every call of a checkpoint, a job longer than its time limit.
soak:
	@launch/install-deps test slurm
	@$(MAKE) --no-print-directory -j$$(nproc) all tests-build
	@$(PYTHON) tests/faults/soak/faults
	@$(PYTHON) tests/faults/soak/checkpoint
	@$(PYTHON) tests/faults/soak/slurm

# What equal bits cost beside plain sums of floats, and threads that merge their sums together (bench/RESULTS.md).
bench-sums: $(BUILD)/bench/sums
	@$(BUILD)/bench/sums bench/sums.conf 2 4 conv4
	@$(BUILD)/bench/sums bench/sums.conf 2 1 wide

# Domain adaptation and distillation on real data (METALOOP_DATA), into bench/RESULTS.md; goes on where it stopped.
accuracy:
	@launch/install-deps build
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@bench/accuracy/run

install: all
	@BUILD=$(BUILD) PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' launch/package/install --list

# The observer alone: neither MPI nor BLAS.
install-observe: observe
	@BUILD=$(BUILD) PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' launch/package/install --list observe

uninstall:
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' launch/package/install --remove

# metaloop and metaloop-observe as Debian packages, in build/deb.
deb:
	@launch/install-deps build package
	@launch/package/deb

# The packages into a new Debian tree, used there, and removed without a trace.
check-install:
	@launch/install-deps build package
	@launch/package/deb
	@launch/package/check

docs/configuration.md: $(BUILD)/metaloop
	@{ echo '# Configuration'; echo; $(BUILD)/metaloop list keys --markdown; } > $@

help:
	@echo 'make quickstart   install what is missing, build, meta-train on built-in data, adapt to a second domain'
	@echo 'make              build/metaloop, build/metaloop-session, build/metaloop-observe'
	@echo 'make observe      build/metaloop-observe alone, on a laptop (launch/install-deps observe)'
	@echo 'make tests-build  the test programs too'
	@echo 'make test-quick   before each commit: build, lint, every C test, the fastest runs of each area (90 seconds)'
	@echo 'make test         install what is missing, build, run every test (8 minutes)'
	@echo 'make lint         directions and circles of files, sizes, comments, formatting, shellcheck'
	@echo 'make check-san    the C tests under the address and undefined-behaviour sanitizers'
	@echo 'make fuzz         every parser under libFuzzer: FUZZ_TIME=60 seconds each, FUZZ_TARGETS="npy png" (all),'
	@echo '                  FUZZ_RESULTS=1 writes the totals to bench/RESULTS.md'
	@echo 'make search       the protocol under a seeded adversary in virtual time: SEARCH_TIME=60 seconds, SEARCH_FROM=1'
	@echo 'make check-torch  the tests that need PyTorch (installs it)'
	@echo 'make check-slurm  the batch script in a private Slurm (installs it)'
	@echo 'make soak         400 runs with ranks killed and stopped at random, every call of a checkpoint, a requeued Slurm'
	@echo '                  job: about an hour; continues where it stopped'
	@echo 'make bench-sums   what equal bits cost beside plain sums of floats'
	@echo 'make accuracy     MNIST and USPS with every transfer method on five seeds, into bench/RESULTS.md (METALOOP_DATA);'
	@echo '                  continues where it stopped'
	@echo 'make install      to PREFIX=/usr/local (DESTDIR= before it): programs, manual pages, completion, examples, documents;'
	@echo '                  make install-observe: the observer alone; make uninstall'
	@echo 'make deb          Debian packages of both, in build/deb'
	@echo 'make check-install  the packages into a new Debian tree: a training, an evaluation, a manual page, their removal'
	@echo 'make clean        remove what was built'
	@echo
	@echo 'Variables: ARCH=native (x86-64-v3 for mixed clusters), OPT=-O3, SANITIZE=, DEFINES=, CC=gcc, BUILD=build;'
	@echo 'V=1 prints the commands. Other flags compile everything anew.'

clean:
	rm -rf build build64 build-san build-fuzz

-include $(OBJECTS:.o=.d) $(OBSERVE_OBJECTS:.o=.d) $(TESTS:=.d) $(HELPERS:=.d) $(wildcard $(BUILD)/tests/fuzz/*.d)
.PHONY: all observe have-packages have-protoc have-observe-packages tests-build fuzzers quickstart test test-quick lint check-san fuzz search check-torch check-slurm soak accuracy bench-sums install install-observe uninstall deb check-install help clean FORCE
.SECONDARY:

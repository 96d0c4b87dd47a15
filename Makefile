# metaloop: `make quickstart`, `make test`, `make` (build/metaloop); `make help` lists the rest.

BUILD ?= build
ARCH ?= native
OPT ?= -O3
SANITIZE ?=
DEFINES ?=
CC = gcc
PYTHON = /usr/bin/python3

PACKAGES = ompi-c openblas libprotobuf-c libconfuse jansson libarchive libpng zlib libxxhash
WARNINGS = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-missing-field-initializers -Werror
# No -ffast-math: isfinite must tell the truth. errno and traps of libm are not used.
PKG_CFLAGS = $(eval PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES)))$(PKG_CFLAGS)
PKG_LIBS = $(eval PKG_LIBS := $(shell pkg-config --libs $(PACKAGES)))$(PKG_LIBS)
CFLAGS = -std=c11 -D_GNU_SOURCE $(OPT) -march=$(ARCH) -g -pthread -fno-math-errno -fno-trapping-math \
         -fopenmp-simd $(WARNINGS) $(SANITIZE) $(DEFINES) -I. -I$(BUILD) $(PKG_CFLAGS)
LDLIBS = $(PKG_LIBS) -lm -pthread

PROTO_C = $(BUILD)/proto/metaloop.pb-c.c
SOURCES = $(wildcard core/*.c core/*/*.c proto/*.c worker/*.c worker/*/*.c coordinator/*.c launch/*.c)
OBJECTS = $(SOURCES:%.c=$(BUILD)/%.o) $(PROTO_C:.c=.o)
LIBRARY = $(filter-out $(BUILD)/launch/metaloop.o,$(OBJECTS))
TESTS = $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/test_*.c tests/conform_*.c))
REVISION = $(shell git describe --always --dirty --exclude='*' 2>/dev/null || echo unversioned)

all: $(BUILD)/metaloop

$(BUILD)/metaloop: $(BUILD)/launch/metaloop.o $(BUILD)/libmetaloop.a
	@echo '  LD $@'
	@$(CC) $(SANITIZE) $(OPT) -o $@ $^ $(LDLIBS)

$(BUILD)/libmetaloop.a: $(LIBRARY)
	@rm -f $@ && ar rcs $@ $^

$(BUILD)/%.o: %.c | $(PROTO_C)
	@mkdir -p $(@D)
	@echo '  CC $<'
	@$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/proto/%.pb-c.c: proto/%.proto
	@mkdir -p $(@D)
	@protoc-c --c_out=$(BUILD) $<

$(BUILD)/proto/%.pb-c.o: $(BUILD)/proto/%.pb-c.c
	@$(CC) $(CFLAGS) -Wno-error -c -o $@ $<

$(BUILD)/tests/%: tests/%.c $(BUILD)/libmetaloop.a
	@mkdir -p $(@D)
	@echo '  CC $<'
	@$(CC) $(CFLAGS) -MMD -MP -o $@ $< $(BUILD)/libmetaloop.a $(LDLIBS) -lcmocka

# Rewritten only when the revision changes, so that an unchanged tree links nothing anew.
$(BUILD)/build_revision.h: FORCE
	@mkdir -p $(@D)
	@echo '#define REVISION "$(REVISION)"' > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
$(BUILD)/launch/version.o: $(BUILD)/build_revision.h
FORCE:

tests-build: $(TESTS)

clean:
	rm -rf build build64 build-san

-include $(OBJECTS:.o=.d) $(TESTS:=.d)
.PHONY: all tests-build clean FORCE
.SECONDARY:

# SPDX-License-Identifier: MIT
# The C unit tests, in four flavours: each builds native/ as a static library under build/<flavour>/, so that a
# test links only what it calls, then one program from every tests/native/test_*.c, and runs them all. The stress
# programs run with them, briefly; test-stress runs them for as long as STRESS_CLAIMS says.

NATIVE_C := $(wildcard native/*.c native/*/*.c)
NATIVE_TEST_C := $(wildcard tests/native/test_*.c)
NATIVE_STRESS_C := $(wildcard tests/native/stress_*.c)
EXAMPLE_C := $(wildcard examples/*.c)
NATIVE_WARNINGS := -Wall -Wextra -Wshadow -Werror
NATIVE_CFLAGS := -std=gnu11 -g -ffp-contract=off $(NATIVE_WARNINGS) -Inative -Itests/native -pthread
NATIVE_LDLIBS := -ldl -lm -pthread

CFLAGS_plain := -O2
CFLAGS_asan := -O1 -fsanitize=address -fno-omit-frame-pointer
CFLAGS_ubsan := -O1 -fsanitize=undefined -fno-sanitize-recover=all
# This sanitizer does not know bare fences, and gcc warns of each. They only order atomics here, never plain data.
CFLAGS_tsan := -O1 -fsanitize=thread -fno-omit-frame-pointer -Wno-tsan

define native_flavour
NATIVE_LIB_$(1) := $(if $(NATIVE_C),build/$(1)/libeegd.a)
NATIVE_TESTS_$(1) := $(NATIVE_TEST_C:tests/native/%.c=build/$(1)/%)
NATIVE_STRESS_$(1) := $(NATIVE_STRESS_C:tests/native/%.c=build/$(1)/%)

# New flags build anew.
build/$(1)/%.o: %.c tests/native/native.mk
	@mkdir -p $$(@D)
	$$(NATIVE_CC) -MMD -MP $$(NATIVE_CFLAGS) $$(CFLAGS_$(1)) -c $$< -o $$@

# Made anew each time, so that it holds nothing of a source file that is gone.
build/$(1)/libeegd.a: $(NATIVE_C:%.c=build/$(1)/%.o)
	@rm -f $$@
	@$(AR) rcs $$@ $$^

$$(NATIVE_TESTS_$(1)): build/$(1)/test_%: build/$(1)/tests/native/test_%.o $$(NATIVE_LIB_$(1))
	$$(NATIVE_CC) $$(CFLAGS_$(1)) -o $$@ $$^ $$(NATIVE_LDLIBS)

$$(NATIVE_STRESS_$(1)): build/$(1)/stress_%: build/$(1)/tests/native/stress_%.o $$(NATIVE_LIB_$(1))
	$$(NATIVE_CC) $$(CFLAGS_$(1)) $$(NATIVE_LDFLAGS_$$(@F)) -o $$@ $$^ $$(NATIVE_LDLIBS)

-include $(NATIVE_C:%.c=build/$(1)/%.d) $(NATIVE_TEST_C:%.c=build/$(1)/%.d) $(NATIVE_STRESS_C:%.c=build/$(1)/%.d)
endef

# One mapping for writer and reader: see shared_maps.h.
NATIVE_LDFLAGS_stress_threads := -Wl,--wrap=mmap,--wrap=munmap

# One short line per file; the whole command with V=1.
NATIVE_CC = $(if $(V),,@echo "  CC $@" &&) $(CC)
$(foreach flavour,plain asan ubsan tsan,$(eval $(call native_flavour,$(flavour))))

# Examples are compiled, and run by the Python tests.
NATIVE_EXAMPLES := $(EXAMPLE_C:%.c=build/plain/%.o)
-include $(EXAMPLE_C:%.c=build/plain/%.d)

# Not C, but runs as if it were: what the library was compiled to.
build/plain/test_vectors: tests/native/vectors.py $(NATIVE_LIB_plain)
	@install -m 755 $< $@

.PHONY: test-native test-asan test-ubsan test-tsan
test-native: $(NATIVE_TESTS_plain) $(NATIVE_STRESS_plain) build/plain/test_vectors ## C unit tests as they are
	@tests/native/run.sh plain $^

test-asan: $(NATIVE_TESTS_asan) $(NATIVE_STRESS_asan) ## C unit tests under the address sanitizer
	@tests/native/run.sh asan $^

test-ubsan: $(NATIVE_TESTS_ubsan) $(NATIVE_STRESS_ubsan) ## C unit tests under the undefined-behaviour sanitizer
	@tests/native/run.sh ubsan $^

test-tsan: $(NATIVE_TESTS_tsan) build/tsan/stress_threads ## C unit tests under the thread sanitizer
	@tests/native/run.sh tsan $^

# Claims in all, and the seed that a failed run has printed.
STRESS_CLAIMS ?= 10000000
STRESS_SEED ?= 1
.PHONY: test-stress
test-stress: $(NATIVE_STRESS_plain) build/tsan/stress_threads ## lease words under load: 10^7 claims between processes
	build/plain/stress_processes $(STRESS_CLAIMS) $(STRESS_SEED)
	build/plain/stress_threads $$(($(STRESS_CLAIMS) / 5)) $(STRESS_SEED)
	@tests/native/run.sh tsan build/tsan/stress_threads

# For LD_PRELOAD: what each thread of a program allocates.
build/alloc_counter.so: tests/native/alloc_counter.c
	@mkdir -p $(@D)
	$(NATIVE_CC) $(NATIVE_CFLAGS) -O2 -fPIC -shared -o $@ $< -ldl

# SPDX-License-Identifier: MIT
# Fuzzing: N inputs for each target, all of them after SEED. Every target prints its seed and what came of the
# inputs, and fails on a crash, a hang, a leak, or an error that does not say what is wrong.

N ?= 100000
# One seed for the whole run.
ifndef SEED
SEED := $(shell date +%s)
endif

CFLAGS_fuzz := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
$(eval $(call native_flavour,fuzz))

FUZZ_NATIVE := build/fuzz/fuzz_descriptors build/fuzz/fuzz_pages
$(FUZZ_NATIVE): build/fuzz/%: build/fuzz/tests/fuzz/%.o $(NATIVE_LIB_fuzz)
	$(NATIVE_CC) $(CFLAGS_fuzz) -o $@ $^ $(NATIVE_LDLIBS)
-include $(FUZZ_NATIVE:build/fuzz/%=build/fuzz/tests/fuzz/%.d)

FUZZ_PYTHON := config attach control client

.PHONY: fuzz fuzz-native $(FUZZ_PYTHON:%=fuzz-%)
fuzz: fuzz-native $(FUZZ_PYTHON:%=fuzz-%) ## hostile input of every kind; N=100000 each, SEED=… repeats a run

# One after the other also under make -j: they look at the descriptors and threads of whole processes.
.NOTPARALLEL: fuzz

fuzz-native: $(FUZZ_NATIVE)
	@for program in $^; do \
		ASAN_OPTIONS="detect_leaks=1:$${ASAN_OPTIONS-}" UBSAN_OPTIONS="print_stacktrace=1:$${UBSAN_OPTIONS-}" \
			timeout -k 5 900 $$program $(N) $(SEED) || exit 1; done

$(FUZZ_PYTHON:%=fuzz-%): fuzz-%: setup
	@$(BIN)/python -m tests.fuzz.fuzz_$* -n $(N) --seed $(SEED)

# SPDX-License-Identifier: MIT
# The real spidev and GPIO code of a Debian kernel, in QEMU, above the emulated chips: see docs/kernel-tests.md.
# One file in tests/kernel/guest is one script; those that begin with test_ are what `make test-kernel` runs.
# KERNEL_TESTS="test_plain" picks, and can name any other script.

KERNEL_TESTS ?=

.PHONY: test-kernel test-kernel-hour kernel-latency
test-kernel: setup ## eegd on real spidev and GPIO in an emulated computer; KERNEL_TESTS="test_plain" picks
	@$(BIN)/python -m tests.kernel.run $(KERNEL_TESTS)

test-kernel-hour: setup ## the same for one hour of the guest's time
	@$(BIN)/python -m tests.kernel.run hour

kernel-latency: setup ## DRDY to published and to a plugin, and instructions per sample, in the guest's time
	@$(BIN)/python -m tests.kernel.run latency

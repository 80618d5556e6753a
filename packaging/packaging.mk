# SPDX-License-Identifier: MIT
# Installing for the whole system, and the Debian package. Variables: DESTDIR, PREFIX, PYTHON.

DESTDIR ?=
PREFIX ?= /usr
export DESTDIR PREFIX PYTHON

.PHONY: install uninstall deb
install: ## for the whole system, as a service: /usr/lib/eegd, commands, units; DESTDIR, PREFIX
	packaging/install.sh install

uninstall: ## remove what make install installed; /etc/eegd stays
	packaging/install.sh uninstall

deb: ## dist/eegd_….deb, for the Debian release that this is
	packaging/deb.sh

.PHONY: test-systemd
test-systemd: ## the package and the service under a real systemd, in a container; needs root
	tests/systemd/run.sh

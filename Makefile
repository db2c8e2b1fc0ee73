# The front door: Meson and Ninja do the work underneath.
PREFIX ?= /usr/local

.PHONY: all demo check bench install fuzz sprite clean

all: | build/build.ninja
	@ninja -C build

build/build.ninja:
	@tools/setup build
	@meson setup build --prefix=$(PREFIX) >/dev/null

# Makes its own material, renders the demonstration character into it and says where the results are.
demo:
	@tools/setup build demo
	@$(MAKE) --no-print-directory all
	@demo/run

# All tests: the C tests under the address and undefined-behaviour sanitizers, the program's own on a plain build, a short
# round of fuzzing. Ends with the line "N passed, N failed".
check:
	@tools/setup build demo check
	@$(MAKE) --no-print-directory all
	@tests/run

bench:
	@tools/setup build demo
	@$(MAKE) --no-print-directory all
	@bench/run

# Ten minutes for each parser; `make check` runs them for seconds.
fuzz:
	@tools/setup build demo check
	@tests/fuzz/run 600

# The model that ships, from one seed: hours. What it is: docs/sprite.md.
sprite:
	@tools/setup build
	@$(MAKE) --no-print-directory all
	@demo/sprite/run

install: all
	@meson install -C build

clean:
	rm -rf build build-asan build-tsan build-fuzz out

# proctor -- a process manager with a profiler in it.
#
#   make            all programs, in build/release/           make check      all quick tests (T=name selects)
#   make demo       a supervisor, an app, a profile           make asan       the same tests under ASan and UBSan
#   make install    DESTDIR, PREFIX, man pages                make fuzz       each fuzz target for T=10 seconds
#   make lint       clang-tidy, mandoc                        make format     clang-format over all C files
#   make valgrind   the unit tests and one capture            make check-nodes  captures on every supported Node
#   make bench      figures against floors and PM2            make deps       installs what is missing, nothing else
#   make soak       the crash tests in their long form, about 5 minutes
#   make clean      removes build/                            make screenshots  each page of the console, as pictures
#
# V=1 shows commands; WERROR=1 makes warnings errors; MODE=release|asan|fuzz chooses the build; NO_INSTALL=1 makes a
# missing package an error instead of installing it.

MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

VERSION := 0.1.0
MODE ?= release
B := build/$(MODE)
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBEXECDIR ?= $(PREFIX)/libexec/proctor
MANDIR ?= $(PREFIX)/share/man
Q := $(if $(V),,@)

# Tools and libraries: found or installed by one script, which leaves their flags in build/deps.mk.  make starts again
# by itself when it has made that file.  `make deps` runs the script in any case.
ifneq ($(filter-out clean format deps,$(or $(MAKECMDGOALS),all)),)
include build/deps.mk
endif
build/deps.mk: tests/tools/deps.sh
	$(Q)tests/tools/deps.sh $@

WARN := -Wall -Wextra -Wshadow -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
        -Wwrite-strings -Wundef -Wvla -Wimplicit-fallthrough -Wno-unused-parameter $(if $(WERROR),-Werror)
CF_PROTECTION := $(if $(filter x86_64,$(shell uname -m)),-fcf-protection)
HARD := -fstack-protector-strong -fstack-clash-protection $(CF_PROTECTION) -fPIE
LINK := -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed
release_C := -O2 -g -D_FORTIFY_SOURCE=3
asan_C := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
asan_L := -fsanitize=address,undefined
fuzz_C := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
fuzz_L := -fsanitize=address,undefined
ifeq ($(MODE),fuzz)
CC := clang
else ifeq ($(origin CC),default)
CC := gcc
endif
DEFS := -D_GNU_SOURCE -DPROCTOR_VERSION='"$(VERSION)"' -DLIBEXECDIR='"$(LIBEXECDIR)"'
COMPILE = $(CC) -std=gnu11 $(DEFS) -I. $(DEPS_C) $(WARN) $(HARD) $($(MODE)_C) $(CFLAGS)
DO_LINK = $(CC) $(LINK) $($(MODE)_L) $(LDFLAGS)
DEPS_L := -luv -ljansson -lwebsockets -lcurl -lsqlite3 -lyaml -lssl -lcrypto -lzstd -lz $(DEPS_CURSES) -lpthread -lm

# Layers: an archive per folder, without its main.o.  NEEDS_x: the archives that x is linked with, in link order.
FOLDER_base := lib/base
FOLDER_keep := lib/keep
FOLDER_secure := lib/secure
FOLDER_pack := lib/pack
FOLDER_wire := lib/wire
FOLDER_profile := lib/profile
FOLDER_ecosystem := ecosystem
FOLDER_supervisor := supervisor
FOLDER_keeper := supervisor/keeper
FOLDER_cli := supervisor/cli
FOLDER_top := supervisor/cli/top
FOLDER_unpack := supervisor/cli/unpack
FOLDER_away := supervisor/cli/away
FOLDER_load := supervisor/cli/load
FOLDER_monit := supervisor/cli/monit
FOLDER_agent := agent
FOLDER_inspector := agent/inspector
FOLDER_store := remote/store
FOLDER_remote := remote
FOLDER_analyze := remote/analyze
LAYERS := base keep secure pack wire profile ecosystem supervisor keeper cli top unpack away load monit agent inspector store remote analyze
NEEDS_base := base
NEEDS_keep := keep
NEEDS_secure := secure base
NEEDS_pack := pack base
NEEDS_wire := wire pack secure base
NEEDS_profile := profile base
NEEDS_ecosystem := ecosystem base
NEEDS_supervisor := supervisor ecosystem wire keep pack base
NEEDS_keeper := keeper keep
NEEDS_cli := cli ecosystem wire base
NEEDS_top := top profile base
NEEDS_unpack := pack base
NEEDS_load := load ecosystem base
NEEDS_away := away cli wire secure base
NEEDS_monit := monit cli ecosystem wire base
NEEDS_agent := agent wire pack secure base
NEEDS_inspector := inspector wire base
NEEDS_store := store wire pack secure base
NEEDS_remote := remote store wire pack secure base
NEEDS_analyze := analyze profile pack base

# Programs: name = layer whose main.o it is.
PROGRAMS := proctor:cli proctord:supervisor proctor-agent:agent proctor-probe:inspector proctor-top:top \
            proctor-away:away proctor-unpack:unpack proctor-load:load proctor-monit:monit \
            proctor-console:remote proctor-analyze:analyze
BIN_PROGRAMS := proctor proctor-console
program_name = $(firstword $(subst :, ,$1))
program_layer = $(lastword $(subst :, ,$1))
BINARIES := $(foreach p,$(PROGRAMS),$B/$(call program_name,$p)) $B/proctor-keeper

all: $(BINARIES)

SOURCES := $(foreach l,$(LAYERS),$(wildcard $(FOLDER_$l)/*.c))
HEADERS := $(foreach l,$(LAYERS),$(wildcard $(FOLDER_$l)/*.h))
TEST_SOURCES := $(wildcard tests/unit/*.c tests/fuzz/*.c tests/tools/*.c tests/bench/*.c)
-include $(patsubst %.c,$B/obj/%.d,$(SOURCES) $(TEST_SOURCES))

$B/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC    $<")
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<

# Files that are linked into a program, by .incbin.
$B/obj/%.o: %.S Makefile
	@mkdir -p $(@D)
	$(if $(V),,@echo "  AS    $<")
	$(Q)$(COMPILE) -c -o $@ $<
$B/obj/remote/openapi_file.o: remote/openapi.json
$B/obj/supervisor/cli/load/loader_text.o: supervisor/cli/load/loader.js
$B/obj/remote/assets_bytes.o: build/web/assets.bin

# The console's page: one file of bytes and its table, the same for every build.  The folders are among what it is made
# from, so that it is made anew when a file is gone.  The table is written with the bytes; touch puts it behind them.
build/web/assets.bin: $(shell find remote/web ! -name '.*') tests/tools/web.sh tests/tools/npm_set.sh
	$(if $(V),,@echo "  WEB   $@")
	$(Q)tests/tools/web.sh $(@D)
build/web/assets_table.c: build/web/assets.bin
	$(Q)touch $@
-include $B/obj/build/web/assets_table.d

# Two runs of make may do this at the same time: an archive appears whole, by a rename.
define LAYER
OBJECTS_$1 := $$(patsubst %,$B/obj/%.o,$$(basename $$(filter-out %/main.c,$$(wildcard $$(FOLDER_$1)/*.c $$(FOLDER_$1)/*.S))))
$B/$1.a: $$(OBJECTS_$1)
	@mkdir -p $$(@D)
	$$(Q)new=$$@.$$$$$$$$ && rm -f $$$$new && ar rcs $$$$new $$^ && mv $$$$new $$@ || { rm -f $$$$new; exit 1; }
endef
$(foreach l,$(LAYERS),$(eval $(call LAYER,$l)))
$B/remote.a: $B/obj/build/web/assets_table.o

define PROGRAM
$B/$1: $B/obj/$$(FOLDER_$2)/main.o $$(patsubst %,$B/%.a,$$(NEEDS_$2))
	$$(if $$(V),,@echo "  LINK  $$@")
	$$(Q)$$(DO_LINK) -o $$@ $$^ $$(DEPS_L)
endef
$(foreach p,$(PROGRAMS),$(eval $(call PROGRAM,$(call program_name,$p),$(call program_layer,$p))))

# The keeper is small and stands alone: linked statically, with musl where it is (build/deps.mk), but not for a sanitizer.
KEEPER_SOURCES := $(wildcard supervisor/keeper/*.c lib/keep/*.c)
KEEPER_LINK := $(if $(filter release,$(MODE)),$(KEEPER_CC) -fno-pie $(KEEPER_STATIC),$(CC) -fPIE -pie)
$B/proctor-keeper: $(KEEPER_SOURCES) $(wildcard supervisor/keeper/*.h lib/keep/*.h) Makefile
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LINK  $@")
	$(Q)$(KEEPER_LINK) -std=gnu11 $(DEFS) -I. $(WARN) -fstack-protector-strong $($(MODE)_C) $(CFLAGS) -Wl,-z,relro,-z,now \
	  $($(MODE)_L) $(LDFLAGS) -o $@ $(KEEPER_SOURCES)

# ---- tests ----------------------------------------------------------------------------------------------------------
# tests/unit/<layer>_<file>.c tests <layer>'s file and is linked with that layer and those below.
UNITS := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/*$(T)*.c))
layer_of = $(firstword $(subst _, ,$1))
define UNIT
$B/unit/$1: $B/obj/tests/unit/$1.o $$(patsubst %,$B/%.a,$$(NEEDS_$2))
	@mkdir -p $$(@D)
	$$(Q)$$(DO_LINK) -o $$@ $$^ $$(DEPS_L) -lcmocka
endef
$(foreach u,$(patsubst tests/unit/%.c,%,$(wildcard tests/unit/*.c)),$(eval $(call UNIT,$u,$(call layer_of,$u))))

# The build goes without cmocka, so it is looked for only here.
$(patsubst %.c,$B/obj/%.o,$(wildcard tests/unit/*.c)): | have-cmocka
have-cmocka:
	$(Q)tests/tools/deps.sh --have cmocka

FUZZERS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c))
define FUZZER
$B/fuzz/$1: $B/obj/tests/fuzz/$1.o $$(patsubst %,$B/%.a,$$(NEEDS_$2))
	@mkdir -p $$(@D)
	$$(Q)$$(DO_LINK) -fsanitize=fuzzer -o $$@ $$^ $$(DEPS_L)
endef
$(foreach f,$(FUZZERS),$(eval $(call FUZZER,$f,$(call layer_of,$f))))

# Helper programs that tests start: tests/tools/<name>.c.
TOOLS := $(patsubst tests/tools/%.c,$B/tools/%,$(wildcard tests/tools/*.c))
$B/tools/%: $B/obj/tests/tools/%.o
	@mkdir -p $(@D)
	$(Q)$(DO_LINK) -o $@ $^
$B/tools/fake_proctord: $B/keep.a

# What `proctor upgrade` brings in its tests: a supervisor of another version, whose state has a newer minor version.  Only what
# knows the one or the other is compiled anew.  Its keeper is another file with the same content.
NEXT_OBJECTS := $(patsubst %.c,$B/next/obj/%.o,$(shell grep -lE 'PROCTOR_(VERSION|NEXT)' supervisor/*.c))
-include $(NEXT_OBJECTS:.o=.d)
$B/next/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -UPROCTOR_VERSION -DPROCTOR_VERSION='"$(VERSION)-next"' -DPROCTOR_NEXT -MMD -MP -c -o $@ $<
$B/next/proctord: $(NEXT_OBJECTS) $(patsubst %,$B/%.a,$(NEEDS_supervisor))
	$(Q)$(DO_LINK) -o $@ $^ $(DEPS_L)
$B/next/proctor-keeper: $B/proctor-keeper
	@mkdir -p $(@D)
	$(Q)cp $< $@
next: $B/next/proctord $B/next/proctor-keeper

NODES := build/nodes.env
$(NODES): tests/tools/nodes.sh tests/tools/npm_set.sh tests/tools/nodes/package.json tests/tools/nodes/package-lock.json
	$(Q)tests/tools/nodes.sh $@

BROWSER := build/browser.env
$(BROWSER): tests/tools/browser.sh tests/tools/npm_set.sh tests/tools/browser/package.json tests/tools/browser/package-lock.json
	$(Q)tests/tools/browser.sh $@

JUDGES := build/judges.env
$(JUDGES): tests/tools/judges.sh tests/tools/npm_set.sh tests/tools/judges/package.json tests/tools/judges/package-lock.json
	$(Q)tests/tools/judges.sh $@

E2E := $(wildcard tests/web/*$(T)*.test.mjs tests/e2e/*$(T)*.test.mjs)
E2E_ENV = PROCTOR_BUILD=$(CURDIR)/$B PROCTOR_NODES=$(CURDIR)/$(NODES)

check: all check-layers check-headers check-units check-fuzz check-e2e

check-layers:
	$(Q)tests/tools/layers.sh

check-headers:
	$(Q)for h in $(HEADERS); do \
	  $(COMPILE) -fsyntax-only -x c -include $$h /dev/null || { echo "$$h does not compile alone"; exit 1; }; done
	@echo "headers: $(words $(HEADERS)) compile alone"

check-units: $(patsubst %,$B/unit/%,$(UNITS))
	$(Q)tests/tools/units.sh $(patsubst %,$B/unit/%,$(UNITS))

check-e2e: all next $(TOOLS) $(NODES) $(BROWSER) $(JUDGES)
	$(Q)$(if $(E2E),$(E2E_ENV) tests/tools/e2e.sh $(E2E),echo "no end-to-end test has '$(T)' in its name")

# Fuzz targets need clang; the version matrix and the rest run without.
check-fuzz:
	$(Q)if tests/tools/deps.sh --have fuzzer; then \
	  $(MAKE) --no-print-directory MODE=fuzz FUZZ_SECONDS=5 run-fuzz; else echo "fuzz: skipped"; fi

fuzz:
	$(Q)$(MAKE) --no-print-directory MODE=fuzz FUZZ_SECONDS=$(or $(T),10) T= run-fuzz

run-fuzz: $(patsubst %,$B/fuzz/%,$(FUZZERS))
	$(Q)tests/tools/fuzz.sh $(FUZZ_SECONDS) $(patsubst %,$B/fuzz/%,$(FUZZERS))

asan:
	$(Q)$(MAKE) --no-print-directory MODE=asan check-units check-e2e

valgrind: all $(patsubst %,$B/unit/%,$(UNITS)) $(TOOLS) $(NODES)
	$(Q)$(E2E_ENV) tests/tools/valgrind.sh $(patsubst %,$B/unit/%,$(UNITS))

check-nodes: all $(TOOLS) $(NODES)
	$(Q)$(E2E_ENV) PROCTOR_ALL_NODES=1 tests/tools/e2e.sh $(wildcard tests/e2e/capture*.test.mjs)

# Kills in their hundreds; CRASH_SEED repeats one run.
soak: all $(TOOLS) $(NODES)
	$(Q)$(E2E_ENV) E2E_CONCURRENCY=1 E2E_SECONDS=3600 CRASH_KILLS=$(or $(KILLS),200) CRASH_ROUNDS=12 CRASH_PHASES=5 \
	  tests/tools/e2e.sh $(wildcard tests/e2e/crash*.test.mjs)

# Each page in light and dark, small and large, and the picture of README, into build/screenshots/.
screenshots: all $(NODES) $(BROWSER)
	$(Q)$(E2E_ENV) PROCTOR_SCREENSHOTS=$(CURDIR)/build/screenshots tests/tools/e2e.sh tests/web/screenshots.mjs

# The figures of docs/BENCHMARKS.md: ratios in one run, no assertions; T=name selects rows.
$B/bench/%: $B/obj/tests/bench/%.o
	@mkdir -p $(@D)
	$(Q)$(DO_LINK) -o $@ $^

bench: all $(patsubst tests/bench/%.c,$B/bench/%,$(wildcard tests/bench/*.c)) $(NODES)
	$(Q)$(E2E_ENV) tests/bench/bench.sh build/bench.md $(T)

lint:
	$(Q)clang-format --dry-run -Werror $(SOURCES) $(HEADERS) $(TEST_SOURCES)
	$(Q)clang-tidy --quiet $(SOURCES) -- -std=gnu11 $(DEFS) -I. $(DEPS_C)
	$(Q)mandoc -Tlint -Wwarning docs/man/*.[1-8]

format:
	$(Q)clang-format -i $(SOURCES) $(HEADERS) $(TEST_SOURCES)

demo: all $(NODES)
	$(Q)$(E2E_ENV) tests/tools/demo.sh

install: all
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man5 \
	  $(DESTDIR)$(MANDIR)/man8
	install -m 755 $(patsubst %,$B/%,$(BIN_PROGRAMS)) $(DESTDIR)$(BINDIR)/
	install -m 755 $(filter-out $(patsubst %,$B/%,$(BIN_PROGRAMS)),$(BINARIES)) $(DESTDIR)$(LIBEXECDIR)/
	for page in docs/man/*.[158]; do install -m 644 $$page $(DESTDIR)$(MANDIR)/man$${page##*.}/; done

deps:
	$(Q)tests/tools/deps.sh build/deps.mk

clean:
	rm -rf build

.PHONY: all check check-layers check-headers check-units check-e2e check-fuzz check-nodes next fuzz run-fuzz asan valgrind \
        bench lint format demo install deps have-cmocka screenshots clean

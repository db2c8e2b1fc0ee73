/* The layers that have files of their own. Private to engine/sandbox.c. */
#pragma once
#include "engine/sandbox.h"

/* Landlock. FALSE where the kernel has none, or does not permit it. */
gboolean sandbox_restrict_files(const Sandbox *sandbox);

/* seccomp. FAULT_INTERNAL. */
gboolean sandbox_restrict_calls(GError **error);

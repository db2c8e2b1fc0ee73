/* How much memory there is, for work that plans what it needs before it begins. */
#pragma once
#include <glib.h>

/* Bytes that the system can give without swapping, within the limits of the process's control group where it
 * has one; 0 where nobody says. */
gint64 memory_available(void);

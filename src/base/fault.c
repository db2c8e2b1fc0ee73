#include "base/fault.h"

G_DEFINE_QUARK(troupe - fault, fault)

gboolean fault(GError **error, Fault kind, const char *format, ...) {
  va_list args;
  va_start(args, format);
  if (error)
    *error = g_error_new_valist(FAULT, kind, format, args);
  va_end(args);
  return FALSE;
}

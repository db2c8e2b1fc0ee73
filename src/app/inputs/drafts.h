/* Files of a request that came neither as parts nor as addresses: what a data URI holds, and what the store
 * has already. Each becomes a draft, so that all inputs go the same way (app/inputs/inputs.h). */
#pragma once
#include "app/inputs/inputs.h"

/* Removes its file, if nobody has taken it. */
typedef struct {
  char *path, *hash;
  gint64 bytes;
} DraftFile;
void draft_file_free(DraftFile *draft);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DraftFile, draft_file_free)

/* "data:image/png;base64,…": base64 or percent signs. REFUSAL_INVALID (field names it in the message),
 * REFUSAL_TOO_LARGE where it holds more than most bytes. */
DraftFile *draft_of_data(App *app, const char *field, const char *uri, gint64 most, GError **error);
/* Another name for a file of the store, which stays. */
DraftFile *draft_of_object(App *app, const char *object, GError **error);
/* Of an address of this very server: a signed link to a file, or a file that was put here. It is not
 * downloaded, for a server often may not reach itself. *draft stays NULL where the address is not one of
 * these; REFUSAL_URL where it is, and is good no longer. */
gboolean draft_of_address(App *app, const char *field, const char *url, DraftFile **draft, GError **error);
/* A source that names the draft, for as long as it lives. */
InputSource draft_source(const DraftFile *draft, const char *field);

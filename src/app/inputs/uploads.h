/* Uploads ahead of a request: a place is given out with a signed PUT link, a file is put there, and its key
 * stands for it in later requests of the account.
 *
 * key: "users/ACCOUNT/user-uploads/UUID/file.png". The upload's row holds the object; unused ones go after
 * UPLOAD_DAYS. Links are signed as in app/links.h, over the method and the key. */
#pragma once
#include "app/inputs/inputs.h"
#include "app/jobs/jobs.h"

#define UPLOAD_LINK_SECONDS 3600
#define UPLOAD_DAYS 7
#define UPLOAD_ROOT "/uploads/" /* what stands before keys in addresses */

typedef struct {
  char *key, *put_url, *public_url; /* public_url: answers with the file once it is there */
  gint64 most;                      /* bytes */
  gint64 expires;                   /* milliseconds: of put_url */
} Upload;
void upload_clear(Upload *upload);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Upload, upload_clear)

/* type: a MIME type of pictures (png, jpeg, webp; 20 MiB), videos (mp4, quicktime, webm; 500 MB) or sound
 * (mpeg, wav; 20 MB). bytes: what the client means to send, or -1. REFUSAL_INVALID, REFUSAL_TOO_LARGE. */
gboolean upload_offer(App *app, const char *account, const char *type, gint64 bytes, Upload *upload,
                      GError **error);
/* The link's check, before the body is taken: most bytes. REFUSAL_FORBIDDEN (forged or expired),
 * REFUSAL_NOT_FOUND (swept), REFUSAL_CONTENT_TYPE (another type than was announced). Quick: one row is read.
 */
gboolean upload_open(App *app, const char *key, const char *expires, const char *signature, const char *type,
                     gint64 *most, GError **error);
/* The draft is in: looked at (pictures, videos), put into the store, held by the upload. A second PUT
 * replaces the first. The draft is gone afterwards. REFUSAL_PICTURE_*, REFUSAL_VIDEO_*, REFUSAL_INVALID
 * (sound), REFUSAL_NOT_FOUND. */
gboolean upload_finish(App *app, const char *key, const InputSource *draft, GError **error);
/* The object that a key of this account stands for (transfer full): of an upload, or "generations/…" of a
 * result of its own or a published one. REFUSAL_INVALID when there is none; kind: what it must be. */
char *upload_object(App *app, const char *account, const char *field, const char *key, InputKind kind,
                    GError **error);
/* The key of a job's result, for upload_object and searches: of its video (image -1) or of an image. */
char *upload_result_key(const Job *job, int image);
/* What public_url answers with: the object and its type (both transfer full). REFUSAL_NOT_FOUND. */
char *upload_read(App *app, const char *key, char **type, GError **error);
/* Removes uploads of more than UPLOAD_DAYS; for app/jobs/sweep.c. */
gboolean upload_sweep(Session *session, GError **error);

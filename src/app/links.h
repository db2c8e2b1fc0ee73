/* Signed links to objects: /files/OBJECT/NAME?expires=SECONDS&signature=HEX, where signature is HMAC-SHA-256
 * of path and expiry under the installation's secret. Whoever has the link may read; nobody can make one. */
#pragma once
#include "app/app.h"

/* Absolute (transfer full). expires_seconds: the moment until which it is good, seconds since 1970. name: the
 * file name that a browser saves under; its suffix tells the type. inside: a file within a folder object
 * ("thumb.webp"), or NULL. */
char *link_make(const App *app, const char *object, const char *inside, const char *name,
                gint64 expires_seconds);
/* path and query as they came, its percent signs undone or not. Returns FALSE for a wrong or expired
 * signature (expired tells which); object and inside (may be NULL afterwards) transfer full. Constant time in
 * the signature. */
gboolean link_check(const App *app, const char *path, const char *expires, const char *signature,
                    char **object, char **inside, gboolean *expired);

/* The same for whatever else is signed: 64 hex digits over a text and an expiry (transfer full), and their
 * check. */
char *link_signature(const App *app, const char *subject, const char *expires);
gboolean link_signature_good(const App *app, const char *subject, const char *expires, const char *signature,
                             gboolean *expired);

/* Request bodies: which kind it is, its limits, where its parts go.
 *
 * A file part (one with a file name, or with a type that is not text) is written to a draft of the object
 * store as it comes and hashed on the way, and so is a raw body; text is kept in memory, within limits. JSON
 * and urlencoded bodies are gathered and parsed at the end. */
#pragma once
#include "api/http/request.h"

#define BODY_TEXT_MAX (1000 * 1000)      /* of a JSON or urlencoded body, and of one text field */
#define BODY_TEXTS_MAX (4 * 1000 * 1000) /* of all text fields together */
#define JSON_DEPTH_MAX 64

/* Decides by the headers, before anything is read. FALSE: REFUSAL_LENGTH, REFUSAL_TOO_LARGE,
 * REFUSAL_CONTENT_TYPE, REFUSAL_INVALID. request->body stays NULL where what comes is to be dropped. */
gboolean body_open(Request *request, GError **error);
gboolean body_feed(Request *request, const char *bytes, gsize length, GError **error);
/* All has come: request->fields, uploads and json are filled. */
gboolean body_finish(Request *request, GError **error);
void body_free(Body *body);

/* What the tokenizer's files share: src/identity/tokenizer*.c and their tests alone. The module is in text.h.
 */
#pragma once
#include "identity/text/text.h"

/* Hostile files end here. Qwen3 has 151,387 merges and ids up to 151,668; a prompt of this length would fill
 * the encoder's 512 places a few hundred times. */
#define TOKENIZER_MAX_FILE (64 * 1024 * 1024)
#define TOKENIZER_MAX_ENTRIES (1 << 20)
#define TOKENIZER_MAX_ADDED 1024
#define TOKENIZER_MAX_ID (1 << 24)
#define TOKENIZER_MAX_TEXT (1024 * 1024)

/* Two neighbours that become one. */
typedef struct {
  gint32 left, right;
  gint32 joined;
  guint32 rank; /* lower goes first */
} Merge;

/* A string that is cut out before anything else and becomes one id. */
typedef struct {
  char *text;
  gsize length;
  gint32 id;
} AddedToken;

struct Tokenizer {
  char *name;
  gint32 byte_id[256];
  GArray *merges;       /* Merge, by left, then right; each pair once */
  GArray *added;        /* AddedToken, longest first */
  gboolean begins[256]; /* some added token begins with this byte */
};

/* tokenizer.json from memory; name: for messages. FAULT_INPUT. */
Tokenizer *tokenizer_parse(const char *json, gsize length, const char *name, GError **error);

/* The id of an added token, or -1. */
gint32 tokenizer_added(const Tokenizer *tokenizer, const char *text);

/* NFC of valid UTF-8 in time that grows with its length, whatever it holds (transfer full, NUL at the end).
 */
char *normalise(const char *text, gsize length);

/* The end of the first piece of [text, end), which is valid UTF-8 and not empty: Qwen's split pattern. */
const char *split_next(const char *text, const char *end);

/* Appends the ids of one piece. */
void bpe_encode(const Tokenizer *tokenizer, const guint8 *piece, gsize length, GArray *ids);

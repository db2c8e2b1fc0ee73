/* The special strings are cut out of the raw text; what lies between them is normalised, split into pieces
 * and merged piece by piece. The chat template is text with special strings like any other, so a prompt that
 * begins with a newline grows together with the template's own, as it does where the model was trained. */
#include "identity/text/tokenizer_parts.h"

#include <string.h>

/* One turn of the user, the answer begun, thinking switched off. */
#define TEMPLATE_BEFORE "<|im_start|>user\n"
#define TEMPLATE_AFTER "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
#define PADDING "<|endoftext|>"

void tokenizer_free(Tokenizer *tokenizer) {
  if (!tokenizer)
    return;
  g_free(tokenizer->name);
  g_clear_pointer(&tokenizer->merges, g_array_unref);
  g_clear_pointer(&tokenizer->added, g_array_unref);
  g_free(tokenizer);
}

gint32 tokenizer_added(const Tokenizer *tokenizer, const char *text) {
  for (guint i = 0; i < tokenizer->added->len; i++) {
    const AddedToken *token = &g_array_index(tokenizer->added, AddedToken, i);
    if (g_str_equal(token->text, text))
      return token->id;
  }
  return -1;
}

/* The longest added token that the text begins with, or NULL. */
static const AddedToken *added_at(const Tokenizer *tokenizer, const char *text, gsize length) {
  if (!tokenizer->begins[(guchar)*text])
    return NULL;
  for (guint i = 0; i < tokenizer->added->len; i++) {
    const AddedToken *token = &g_array_index(tokenizer->added, AddedToken, i);
    if (token->length <= length && memcmp(token->text, text, token->length) == 0)
      return token;
  }
  return NULL;
}

static void encode_plain(const Tokenizer *tokenizer, const char *text, gsize length, GArray *ids) {
  if (!length)
    return;
  g_autofree char *normal = normalise(text, length);
  const char *end = normal + strlen(normal);
  for (const char *at = normal, *next; at < end; at = next) {
    next = split_next(at, end);
    bpe_encode(tokenizer, (const guint8 *)at, (gsize)(next - at), ids);
  }
}

GArray *tokenizer_encode(const Tokenizer *tokenizer, const char *text, GError **error) {
  gsize length = strlen(text);
  if (length > TOKENIZER_MAX_TEXT)
    return fault_null(error, FAULT_LIMIT, "The text has %" G_GSIZE_FORMAT " bytes; the limit is %d.", length,
                      TOKENIZER_MAX_TEXT);
  if (!g_utf8_validate(text, (gssize)length, NULL))
    return fault_null(error, FAULT_INPUT, "The text is not valid UTF-8.");
  g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(gint32));
  const char *plain = text, *end = text + length;
  for (const char *at = text; at < end;) {
    const AddedToken *token = added_at(tokenizer, at, (gsize)(end - at));
    if (!token) {
      at++;
      continue;
    }
    encode_plain(tokenizer, plain, (gsize)(at - plain), ids);
    g_array_append_val(ids, token->id);
    plain = at += token->length;
  }
  encode_plain(tokenizer, plain, (gsize)(end - plain), ids);
  return g_steal_pointer(&ids);
}

GArray *tokenizer_prompt(const Tokenizer *tokenizer, const char *prompt, gint64 length, gint64 *count,
                         GError **error) {
  g_return_val_if_fail(length > 0 && length <= TOKENIZER_MAX_TEXT, NULL);
  static const char *const needed[] = {"<|im_start|>", "<|im_end|>", "<think>", "</think>", PADDING};
  for (gsize i = 0; i < G_N_ELEMENTS(needed); i++)
    if (tokenizer_added(tokenizer, needed[i]) < 0)
      return fault_null(error, FAULT_INPUT, "%s has no token %s: it is not the tokenizer of Qwen3.",
                        tokenizer->name, needed[i]);
  g_autofree char *text = g_strconcat(TEMPLATE_BEFORE, prompt, TEMPLATE_AFTER, NULL);
  g_autoptr(GArray) ids = tokenizer_encode(tokenizer, text, error);
  if (!ids)
    return NULL;
  if (ids->len > length)
    g_array_set_size(ids, (guint)length);
  *count = ids->len;
  gint32 padding = tokenizer_added(tokenizer, PADDING);
  while (ids->len < length)
    g_array_append_val(ids, padding);
  return g_steal_pointer(&ids);
}

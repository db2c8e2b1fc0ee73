/* Features of prompts that were encoded before. An encoder of gigabytes need not even be opened for a prompt
 * that is in here.
 *
 * A folder with one safetensors file for each prompt, named after the hash of model and prompt (the prompt
 * itself is not in it). Several processes may use one folder: files appear whole, what is damaged counts as
 * absent, and when the folder grows beyond its limit those go first that were not used for longest. */
#pragma once
#include "base/fault.h"

typedef struct PromptCache PromptCache;

/* limit: bytes that the folder may hold. The folder is made if need be. FAULT_OUTPUT. */
PromptCache *prompt_cache_open(const char *folder, gint64 limit, GError **error);
void prompt_cache_free(PromptCache *cache);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PromptCache, prompt_cache_free)

/* model: whatever tells encoders apart (checksum or name, taps, arithmetic). features [length, width] fp32,
 * bit for bit those that were put in; FALSE when they are not there. */
gboolean prompt_cache_get(PromptCache *cache, const char *model, const char *prompt, gint64 length,
                          gint64 width, float *features);
/* Keeps a copy. Features that alone are beyond the limit are not kept, which is no fault. FAULT_OUTPUT. */
gboolean prompt_cache_put(PromptCache *cache, const char *model, const char *prompt, gint64 length,
                          gint64 width, const float *features, GError **error);

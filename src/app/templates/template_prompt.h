/* Templates that are prompts: words with gaps, and what may fill the gaps.
 *
 * The operator writes one as a JSON file:
 *
 *   {
 *     "title": "Portrait at the window",
 *     "description": "…",                  optional
 *     "category": "portrait",              optional
 *     "prompt": "{{character}} at a window, {{light}}, {{style}}",
 *     "model": "sprite",                   optional; the first that is installed, or that of the character
 *     "aspect": "3:4",                     optional; one of GENERATION_ASPECTS
 *     "variables": [
 *       {"key": "character", "label": "Character", "type": "image", "slot": "character", "required": true},
 *       {"key": "light", "label": "Light", "type": "text", "default_value": "soft morning light",
 *        "min_length": 3, "max_length": 80},
 *       {"key": "style", "label": "Style", "type": "text"}
 *     ]
 *   }
 *
 * A variable has a key (letters, digits and _), a label, a type and optionally required, placeholder,
 * description, default_value, and for text min_length and max_length. A text takes the place of its tokens.
 * An image has a slot: "character", which a trained Character fills (its trigger word takes the place of the
 * tokens; at most one of these), or "reference", a picture to draw after. Every token has its variable. */
#pragma once
#include "app/app.h"
#include "app/refusal.h"
#include <jansson.h>

#define TEMPLATE_TEXT_MOST 2000 /* characters of a text without max_length */

/* The whole of a file's JSON. FAULT_INPUT says what is wrong with it. */
gboolean template_prompt_check(const json_t *about, GError **error);

/* The prompt with its gaps filled. values: key -> text, for tokens of variables without one nothing; what
 * that leaves of spaces and commas is tidied. Values are not looked at for tokens (transfer full). */
char *template_prompt_fill(const char *prompt, GHashTable *values);

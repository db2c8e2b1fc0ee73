/* What is said about a training picture.
 *
 * The trigger word must be in every caption, or the picture teaches the model something about everybody:
 * where a caption was given, the word takes the place of "[trigger]" or stands before the class word; where
 * none was given, a template says no more than that the character is in the picture. */
#pragma once
#include "base/fault.h"

#define CAPTION_MAX_BYTES 4000
#define CAPTION_CLASS "person" /* where nothing else was said */

/* given: the caption, or NULL; class may be NULL; index: which of the templates (transfer full). */
char *caption_template(const char *given, const char *trigger, const char *class, guint index);

/* A text as it is, or, where it names a file, what the file says, blanks trimmed (transfer full). FAULT_INPUT
 * where that is empty, too long or not UTF-8. */
char *caption_read(const char *text_or_file, GError **error);
/* The text beside a picture, by its name with .txt in place of the suffix; *caption stays NULL where there is
 * none. FAULT_INPUT. */
gboolean caption_beside(const char *picture, char **caption, GError **error);
/* A word that no model knows, for those who name none: the same one every time. */
#define CAPTION_TRIGGER "zqx"
/* FAULT_USAGE where it is empty, longer than 40 bytes or has anything but letters, digits and hyphens. */
gboolean caption_check_trigger(const char *trigger, GError **error);

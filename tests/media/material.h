/* Files to read, made for one test program in a folder of its own, with the ffmpeg command. */
#pragma once
#include <glib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "base/fault.h"
#include "media/video.h"

/* Makes and removes the folder: group set-up and tear-down of cmocka. */
int material_setup(void **state);
int material_teardown(void **state);

/* The path of a file in the folder (transfer full). */
char *material_path(const char *name);
/* Runs "ffmpeg -v error -y" with the arguments in the folder; the test fails when ffmpeg does. */
void material_make(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* Runs a command in the folder and returns what it prints (transfer full). */
char *material_output(const char *format, ...) G_GNUC_PRINTF(1, 2);

GByteArray *material_read(const char *name);
void material_write(const char *name, gconstpointer bytes, gsize size);
/* Number of entries in the folder, hidden ones too. */
int material_count(void);

/* Fails the test unless *error is of the kind; its message must name the file, be one line and end a
 * sentence. Clears it. */
void material_expect_fault(GError **error, Fault kind, const char *name);

/* The frames of a video (transfer full; an array of AVFrame *). */
GPtrArray *material_frames(const char *name, VideoInfo *info);

/* Reads one video and writes it again with its sound. */
void material_copy(const char *from, const char *to, VideoQuality quality);

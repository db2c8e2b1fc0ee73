/* What is written is read back; what is damaged is refused with a reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "tensor/safetensors.h"
#include <glib/gstdio.h>
#include <string.h>

static char *folder;

static char *place(const char *name) {
  return g_build_filename(folder, name, NULL);
}

static void round_trip(void **state) {
  const float f[6] = {1, 2, 3, 4, 5, 6};
  const guint8 u[3] = {7, 8, 9};
  const gint64 n[1] = {-5};
  g_autofree char *path = place("a.safetensors");
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  safetensors_add(writer, "bytes", DTYPE_U8, (gint64[]){3}, 1, u);
  safetensors_add(writer, "floats", DTYPE_F32, (gint64[]){2, 3}, 2, f);
  safetensors_add(writer, "long", DTYPE_I64, (gint64[]){1}, 1, n);
  safetensors_add(writer, "none", DTYPE_F32, (gint64[]){0, 3}, 2, NULL);
  safetensors_set_metadata(writer, "kind", "test");
  assert_true(safetensors_write(writer, path, NULL));

  g_autoptr(GError) error = NULL;
  g_autoptr(Safetensors) file = safetensors_open(path, &error);
  assert_null(error);
  gint64 shape[2] = {-1, 3};
  assert_memory_equal(safetensors_get(file, "floats", DTYPE_F32, shape, 2, &error), f, sizeof f);
  assert_int_equal(shape[0], 2);
  assert_memory_equal(safetensors_get(file, "bytes", DTYPE_U8, (gint64[]){3}, 1, &error), u, 3);
  assert_memory_equal(safetensors_get(file, "long", DTYPE_I64, (gint64[]){1}, 1, &error), n, 8);
  assert_non_null(safetensors_get(file, "none", DTYPE_F32, (gint64[]){-1, 3}, 2, &error));
  assert_string_equal(safetensors_metadata(file, "kind"), "test");
  assert_false(safetensors_has(file, "floats2"));
  assert_null(safetensors_get(file, "floats", DTYPE_F32, (gint64[]){3, 2}, 2, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
}

static void refused(const char *header, gsize data) {
  g_autofree char *path = place("bad.safetensors");
  g_autoptr(GByteArray) bytes = g_byte_array_new();
  guint64 length = GUINT64_TO_LE(strlen(header));
  g_byte_array_append(bytes, (guint8 *)&length, 8);
  g_byte_array_append(bytes, (const guint8 *)header, (guint)strlen(header));
  g_autofree guint8 *zeros = g_malloc0(data + 1);
  g_byte_array_append(bytes, zeros, (guint)data);
  assert_true(g_file_set_contents(path, (char *)bytes->data, bytes->len, NULL));
  g_autoptr(GError) error = NULL;
  g_autoptr(Safetensors) file = safetensors_open(path, &error);
  assert_null(file);
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
}

static void damaged_files_are_refused(void **state) {
  refused("{", 0);
  refused("[]  ", 0);
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7);
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8);
  refused("{\"a\":{\"dtype\":\"F99\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8);
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8);
  refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,8]}}", 8);
  refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[-2,0]}}", 8);
  refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0]}}", 8);
  refused("{\"a\":3}", 8);
}

static void a_cut_file_is_refused(void **state) {
  g_autofree char *path = place("cut.safetensors");
  assert_true(g_file_set_contents(path, "\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10, NULL));
  g_autoptr(GError) error = NULL;
  assert_null(safetensors_open(path, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
}

int main(void) {
  folder = g_dir_make_tmp("troupe-XXXXXX", NULL);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(round_trip),
      cmocka_unit_test(damaged_files_are_refused),
      cmocka_unit_test(a_cut_file_is_refused),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  g_autofree char *command = g_strdup_printf("rm -rf %s", folder);
  return g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL) ? failed : 1;
}

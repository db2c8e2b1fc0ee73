/* Writes the small network of the tests to the path given: what the fuzzer begins with. */
#include "../nn/tiny.h"

int main(int argc, char **argv) {
  g_autoptr(GBytes) bytes = tiny_model();
  gsize size;
  const char *data = g_bytes_get_data(bytes, &size);
  return argc == 2 && g_file_set_contents(argv[1], data, (gssize)size, NULL) ? 0 : 1;
}

/* A vocabulary that is accepted, and a text with words that it knows, does not know and does not hear. */
#include <glib.h>

int main(int argc, char **argv) {
  static const char seed[] = "\6{\"length\":8,\"words\":[\"<pad>\",\"man\",\"red\",\"hat\",\"<1>\",\"<2>\"],"
                             "\"synonyms\":{\"guy\":\"man\",\"sombrero\":\"hat\"},\"silent\":[\"a\",\"of\"],"
                             "\"reserved\":[\"<1>\",\"<2>\"]}\0a Guy's red-ish hats of zqx";
  return argc == 2 && g_file_set_contents(argv[1], seed, sizeof seed - 1, NULL) ? 0 : 1;
}

/* demo-character DRAWING.svg PICTURE.png [HEIGHT]: the drawn character as pixels, on nothing. The program
 * itself does not read SVG. */
#include <stdlib.h>
#include <vips/vips.h>

int main(int argc, char **argv) {
  int height = argc == 4 ? atoi(argv[3]) : 1200;
  if (argc < 3 || argc > 4 || height < 64 || height > 4096) {
    g_printerr("demo-character DRAWING.svg PICTURE.png [HEIGHT]\n");
    return 2;
  }
  if (VIPS_INIT(argv[0]))
    return 1;
  VipsImage *picture = NULL;
  if (vips_thumbnail(argv[1], &picture, VIPS_MAX_COORD, "height", height, NULL) ||
      vips_pngsave(picture, argv[2], NULL)) {
    g_printerr("demo-character: %s", vips_error_buffer());
    return 1;
  }
  g_object_unref(picture);
  vips_shutdown();
  return 0;
}

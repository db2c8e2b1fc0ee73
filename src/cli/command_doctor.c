/* troupe doctor: is everything there that the work needs? One line for each thing, and what to do where it is
 * not. */
#include "cli/cli.h"
#include "nn/models.h"

#include <glib/gstdio.h>
#include <libavcodec/avcodec.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <vips/vips.h>

#define MEMORY_NEEDED (1024.0 * 1024 * 1024)
#define SPACE_NEEDED (1024.0 * 1024 * 1024)

typedef struct {
  json_t *checks;
  gboolean json;
  int bad;
} Examination;

static void check(Examination *all, gboolean good, const char *what, const char *finding,
                  const char *advice) {
  all->bad += !good;
  json_array_append_new(all->checks, json_pack("{s:s, s:b, s:s, s:s*}", "check", what, "ok", good, "finding",
                                               finding, "advice", good ? NULL : advice));
  if (!all->json) {
    printf("%-4s %-16s %s\n", good ? "ok" : "BAD", what, finding);
    if (!good)
      printf("%-21s -> %s\n", "", advice);
  }
}

static void check_networks(Examination *all, const char *folder) {
  g_autoptr(GPtrArray) list = network_list(folder);
  for (guint i = 0; i < list->len; i++) {
    const NetworkStatus *status = list->pdata[i];
    g_autofree char *finding =
        g_strdup_printf("%s: %s", status->name, status->path ? status->path : "not found");
    check(all, status->state == NETWORK_FOUND, "network", finding,
          "Run `npm ci` in the source folder, or name the folder of the networks with --models.");
  }
}

static void check_codecs(Examination *all) {
  check(all, avcodec_find_encoder_by_name("libx264") != NULL, "H.264 encoder", "libx264 of FFmpeg",
        "Install Debian's libavcodec59 (or libavcodec-extra59).");
  check(all, avcodec_find_decoder(AV_CODEC_ID_H264) && avcodec_find_decoder(AV_CODEC_ID_VP9),
        "video decoders", "H.264, VP9", "Install Debian's libavcodec59.");
  gboolean pictures = vips_type_find("VipsForeignLoad", "pngload") &&
                      vips_type_find("VipsForeignLoad", "jpegload") &&
                      vips_type_find("VipsForeignLoad", "webpload");
  check(all, pictures, "picture readers", "PNG, JPEG, WebP of libvips", "Install Debian's libvips42.");
}

static void check_machine(Examination *all) {
  double memory = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
  g_autofree char *amount = g_strdup_printf("%.1f GB", memory / 1e9);
  check(all, memory >= MEMORY_NEEDED, "memory", amount, "A render of a 1080p video needs 1 GB.");
  struct statvfs disk;
  const char *place = g_get_tmp_dir();
  double space = statvfs(place, &disk) == 0 ? (double)disk.f_bavail * (double)disk.f_frsize : 0;
  g_autofree char *free_space = g_strdup_printf("%.1f GB free in %s", space / 1e9, place);
  check(all, space >= SPACE_NEEDED && g_access(place, W_OK) == 0, "temporary files", free_space,
        "Set TMPDIR to a folder with at least 1 GB of free space.");
  g_autofree char *cores = g_strdup_printf("%u", g_get_num_processors());
  check(all, TRUE, "processor cores", cores, NULL);
}

int command_doctor(int argc, char **argv) {
  CommonOptions common = {0};
  const Command *command = cli_command("doctor");
  GError *error = NULL;
  Examination all = {.checks = json_array()};
  if (cli_parse(command, NULL, &common, &argc, &argv, &error)) {
    all.json = common.json;
    check_networks(&all, common.models);
    check_codecs(&all);
    check_machine(&all);
    if (common.json)
      cli_print_json(json_pack("{s:b, s:O}", "ok", all.bad == 0, "checks", all.checks));
    if (all.bad)
      fault(&error, FAULT_INTERNAL, "%d thing%s must be put right first.", all.bad, all.bad == 1 ? "" : "s");
  }
  json_decref(all.checks);
  g_free(common.models);
  return cli_finish(command->name, error);
}

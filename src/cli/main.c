/* The program's front door: finds the command and hands over. */
#include "cli/cli.h"
#include "media/picture.h"
#include "media/video.h"

#include <glib/gstdio.h>
#include <locale.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

static const char template_details[] =
    "A file of a scene; scene is a video or a scene's folder, beside the file:\n"
    "  {\"scene\": \"dance.mp4\", \"title\": \"Dance\", \"description\": \"…\", \"category\": \"dance\"}\n\n"
    "A file of a prompt, with a variable for every {{key}}:\n"
    "  {\"title\": \"At the window\", \"description\": \"…\", \"category\": \"portrait\",\n"
    "   \"prompt\": \"{{character}} at a window, {{light}}\", \"model\": \"sprite\", \"aspect\": \"3:4\",\n"
    "   \"variables\": [\n"
    "     {\"key\": \"character\", \"label\": \"Character\", \"type\": \"image\", \"slot\": \"character\", "
    "\"required\": true},\n"
    "     {\"key\": \"light\", \"label\": \"Light\", \"type\": \"text\", \"default_value\": \"morning "
    "light\", "
    "\"max_length\": 80}]}\n\n"
    "A text may have placeholder, description, default_value, min_length and max_length. The slot of an "
    "image is\n"
    "character (filled by a trained character) or reference (a picture to draw after). description, "
    "category,\n"
    "model and aspect may be left out.";

const Command commands[] = {
    {"render", "--character PICTURE|FOLDER --video VIDEO|--scene FOLDER -o OUT.mp4",
     "put a character into the motion of a video", command_render},
    {"character", "PICTURE -o FOLDER", "make a character from one picture", command_character},
    {"scene", "VIDEO -o FOLDER", "prepare a driving video", command_scene},
    {"train", "PICTURE... --name NAME -o CHARACTER", "learn a character from ten to thirty pictures",
     command_train},
    {"generate", "CHARACTER|MODEL \"PROMPT\"… -o FOLDER", "draw a character, or anything else, from a prompt",
     command_generate},
    {"pose", "PICTURE|VIDEO", "find people and their joints", command_pose},
    {"inspect", "PICTURE...", "look over the pictures for a training", command_inspect},
    {"serve", "", "serve the HTTP APIs, with workers", command_serve},
    {"work", "--pool NAME", "do the jobs of one pool", command_work},
    {"key", "create|list|revoke KEY", "keys of the server's accounts", command_key},
    {"credit", "add CREDITS|show", "credits of the server's accounts", command_credit},
    {"template", "add SCENE-FOLDER|VIDEO|FILE.json|list|remove ID",
     "publish scenes and prompts for all accounts", command_template, template_details},
    {"watch", "JOB", "follow a job of the server", command_watch},
    {"models", "[pull NAME]", "list the networks and models and where they are, or fetch one",
     command_models},
    {"doctor", "", "check that everything needed is there", command_doctor},
};
const gsize command_count = G_N_ELEMENTS(commands);

const Command *cli_command(const char *name) {
  for (gsize i = 0; i < command_count; i++)
    if (g_str_equal(commands[i].name, name))
      return &commands[i];
  return NULL;
}

static void print_usage(FILE *to) {
  fputs("troupe gives a character a body of work: from one picture, into the motion of any "
        "video.\n\nCommands:\n",
        to);
  for (gsize i = 0; i < command_count; i++)
    fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].summary);
  fputs("\n`troupe COMMAND --help` shows a command's options; `troupe --version` the version.\n", to);
}

int main(int argc, char **argv) {
  /* Frames come and go at the same few sizes: keeping their memory instead of handing it back to the system
   * after each saves a twentieth of the time of a render. */
  mallopt(M_MMAP_THRESHOLD, 64 * 1024 * 1024);
  mallopt(M_TRIM_THRESHOLD, 128 * 1024 * 1024);
  /* What the Scene and the Character leave behind serves the render, whichever threads it belonged to. */
  mallopt(M_ARENA_MAX, 1);
  setlocale(LC_ALL, "");
  setlocale(LC_NUMERIC, "C"); /* files and JSON have decimal points everywhere */
  if (argc < 2 || g_str_equal(argv[1], "--help") || g_str_equal(argv[1], "-h") ||
      g_str_equal(argv[1], "help")) {
    print_usage(argc < 2 ? stderr : stdout);
    return argc < 2 ? EXIT_USAGE : EXIT_DONE;
  }
  if (g_str_equal(argv[1], "--version")) {
    puts("troupe " TROUPE_VERSION);
    return EXIT_DONE;
  }
  if (g_str_equal(argv[1], "engine"))
    return command_engine(argc - 1, argv + 1); /* locks itself in before any library starts */
  const Command *command = cli_command(argv[1]);
  if (!command) {
    fprintf(stderr, "troupe: there is no command \"%s\".\n\n", argv[1]);
    print_usage(stderr);
    return EXIT_USAGE;
  }
  GError *error = NULL;
  if (!picture_init(argv[0], &error))
    return cli_finish(command->name, error);
  video_init();
  return command->run(argc - 1, argv + 1);
}

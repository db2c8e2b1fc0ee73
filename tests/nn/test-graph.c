/* The reader and the graph builder: right results on a small network and on the real ones, and an error,
 * never more, on damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "nn/graph.h"
#include "nn/models.h"
#include "tiny.h"
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

static Graph *build(GBytes *bytes, GError **error) {
  g_autoptr(Tflite) model = tflite_parse(bytes, error);
  return model ? graph_new(model, NULL, 0, NULL, 0, error) : NULL;
}

static void a_small_network_computes_what_it_says(void **state) {
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) bytes = tiny_model();
  g_autoptr(Graph) graph = build(bytes, &error);
  if (!graph)
    fail_msg("%s", error->message);
  assert_int_equal(graph_input_size(graph, 0), TINY_INPUT);
  assert_int_equal(graph_output_size(graph, 0), TINY_OUTPUT);
  for (int round = 0; round < 3; round++) {
    float expected[TINY_OUTPUT];
    for (int i = 0; i < TINY_INPUT; i++)
      graph_input(graph, 0)[i] = sinf((float)(i * (round + 1)));
    tiny_reference(graph_input(graph, 0), expected);
    assert_true(graph_run(graph, &error));
    for (int i = 0; i < TINY_OUTPUT; i++)
      assert_float_equal(graph_output(graph, 0)[i], expected[i], 1e-4);
  }
}

static void a_part_computes_the_same_as_the_whole(void **state) {
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) bytes = tiny_model();
  g_autoptr(Tflite) model = tflite_parse(bytes, &error);
  assert_non_null(model);
  /* The fourth operator from the front writes the first convolution's result. */
  int middle = model->op[3].output[0];
  g_autoptr(Graph) whole = graph_new(model, NULL, 0, NULL, 0, &error);
  g_autoptr(Graph) front = graph_new(model, NULL, 0, &middle, 1, &error);
  g_autoptr(Graph) back = graph_new(model, &middle, 1, NULL, 0, &error);
  assert_true(whole && front && back);
  for (int i = 0; i < TINY_INPUT; i++)
    graph_input(whole, 0)[i] = graph_input(front, 0)[i] = cosf((float)i);
  assert_true(graph_run(whole, &error) && graph_run(front, &error));
  assert_int_equal(graph_output_size(front, 0), graph_input_size(back, 0));
  memcpy(graph_input(back, 0), graph_output(front, 0), graph_output_size(front, 0) * sizeof(float));
  assert_true(graph_run(back, &error));
  for (int i = 0; i < TINY_OUTPUT; i++)
    assert_float_equal(graph_output(back, 0)[i], graph_output(whole, 0)[i], 1e-5);
}

/* XNNPACK believes every shape that it is told; so each lie must be noticed before. */
static void contradictions_are_refused(void **state) {
  enum { PAD, CONV = 3, DEPTHWISE, SUM, PRELU, HEAD = 9, FLAT, POOL, JOIN = 13 };
  for (int lie = 0; lie < 17; lie++) {
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) bytes = tiny_model();
    g_autoptr(Tflite) model = tflite_parse(bytes, &error);
    TfliteOperator *op = model->op;
    TfliteTensor *t = model->tensor;
    switch (lie) {
    case 0:
      t[op[CONV].input[2]].elements = 3;
      break; /* bias */
    case 1:
      t[op[CONV].output[0]].shape[1] = 4;
      break; /* height */
    case 2:
      t[op[CONV].output[0]].shape[3] = 5;
      break; /* channels */
    case 3:
      t[op[CONV].input[1]].shape[3] = 2;
      break; /* filter's channels */
    case 4:
      op[CONV].options.stride_x = 0;
      break;
    case 5:
      op[CONV].input[1] = op[CONV].input[0];
      break; /* a computed filter */
    case 6:
      t[op[DEPTHWISE].output[0]].shape[2] = 2;
      break;
    case 7:
      op[DEPTHWISE].options.multiplier = 2;
      break;
    case 8:
      t[op[SUM].output[0]].shape[3] = 8;
      break;
    case 9:
      t[op[PRELU].input[1]].elements = 3;
      break;
    case 10:
      t[op[FLAT].output[0]].elements = 44;
      break;
    case 11:
      op[POOL].options.window_x = 0;
      break;
    case 12:
      t[op[POOL].output[0]].shape[3] = 4;
      break;
    case 13:
      op[JOIN].options.axis = 2;
      break;
    case 14:
      t[op[JOIN].output[0]].shape[1] = 14;
      break;
    case 15:
      t[op[PAD].output[0]].shape[1] = 9;
      break;
    default:
      op[SUM].input[0] = op[HEAD].output[0];
      break; /* comes later */
    }
    g_autoptr(Graph) graph = graph_new(model, NULL, 0, NULL, 0, &error);
    if (graph)
      fail_msg("lie %d was believed", lie);
    assert_true(g_error_matches(error, FAULT, FAULT_NETWORK));
  }
}

static void it_is_refused_or_runs(GBytes *bytes) {
  g_autoptr(GError) error = NULL;
  g_autoptr(Graph) graph = build(bytes, &error);
  if (!graph) {
    assert_true(g_error_matches(error, FAULT, FAULT_NETWORK));
    return;
  }
  assert_true(graph_run(graph, &error));
}

static void truncated_networks_are_refused(void **state) {
  g_autoptr(GBytes) whole = tiny_model();
  gsize size = g_bytes_get_size(whole);
  for (gsize length = 0; length < size; length++) {
    /* A copy of that size, so that the address sanitizer sees a step beyond it. */
    g_autoptr(GBytes) part = g_bytes_new(g_bytes_get_data(whole, NULL), length);
    g_autoptr(GError) error = NULL;
    g_autoptr(Graph) graph = build(part, &error);
    if (length < size - 16)
      assert_null(graph);
    it_is_refused_or_runs(part);
  }
}

static void damaged_networks_do_no_harm(void **state) {
  static const guint8 values[] = {0, 1, 2, 127, 128, 255};
  g_autoptr(GBytes) whole = tiny_model();
  gsize size = g_bytes_get_size(whole);
  for (gsize i = 0; i < size; i++)
    for (gsize k = 0; k < G_N_ELEMENTS(values); k++) {
      guint8 *copy = g_memdup2(g_bytes_get_data(whole, NULL), size);
      copy[i] = values[k];
      g_autoptr(GBytes) bytes = g_bytes_new_take(copy, size);
      it_is_refused_or_runs(bytes);
    }
}

static void other_files_are_refused(void **state) {
  static const char *const texts[] = {"", "TFL3", "\x08\0\0\0TFL3",
                                      "\xff\xff\xff\xffTFL3\xff\xff\xff\xff\xff\xff\xff\xff\xff"};
  for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
    guint8 block[32] = {0};
    memcpy(block, texts[i], i == 2 ? 8 : strlen(texts[i]));
    for (gsize length = 0; length <= sizeof block; length += 4) {
      g_autoptr(GBytes) bytes = g_bytes_new(block, length);
      g_autoptr(GError) error = NULL;
      assert_null(tflite_parse(bytes, &error));
      assert_true(g_error_matches(error, FAULT, FAULT_NETWORK));
    }
  }
}

static void the_real_networks_load(void **state) {
  for (int i = 0; i < NETWORKS; i++) {
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) bytes = network_load((Network)i, NULL, &error);
    if (!bytes)
      fail_msg("%s", error->message);
    g_autoptr(Tflite) model = tflite_parse(bytes, &error);
    if (!model)
      fail_msg("%s: %s", network_name((Network)i), error->message);
    g_autoptr(Graph) graph = graph_new(model, NULL, 0, NULL, 0, &error);
    print_message("%s: %d tensors, %d operators\n", network_name((Network)i), model->tensors,
                  model->operators);
    if (i == NETWORK_FACE_ATTENTION) /* has operators of its own and is built in parts */
      assert_non_null(strstr(error->message, "not supported"));
    else if (!graph)
      fail_msg("%s: %s", network_name((Network)i), error->message);
  }
}

static void damaged_real_networks_do_no_harm(void **state) {
  g_autoptr(GError) error = NULL;
  g_autoptr(GBytes) whole = network_load(NETWORK_HAND_RECROP, NULL, &error);
  assert_non_null(whole);
  gsize size = g_bytes_get_size(whole);
  g_autoptr(GRand) random = g_rand_new_with_seed(5);
  for (int round = 0; round < 200; round++) {
    guint8 *copy = g_memdup2(g_bytes_get_data(whole, NULL), size);
    for (int k = 0; k < 20; k++)
      copy[g_rand_int_range(random, 0, (gint32)size)] = (guint8)g_rand_int(random);
    g_autoptr(GBytes) bytes = g_bytes_new_take(copy, size);
    it_is_refused_or_runs(bytes);
  }
}

static void networks_are_found_where_they_are(void **state) {
  g_autoptr(GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp("troupe-XXXXXX", &error);
  g_autoptr(NetworkStatus) missing = network_status(NETWORK_POSE_LITE, folder);
  assert_int_equal(missing->state, NETWORK_MISSING);
  assert_null(missing->path);

  g_autofree char *path = g_build_filename(folder, "pose_landmark_lite.tflite", NULL);
  assert_true(g_file_set_contents(path, "not a network", -1, NULL));
  g_autoptr(NetworkStatus) damaged = network_status(NETWORK_POSE_LITE, folder);
  assert_int_equal(damaged->state, NETWORK_DAMAGED);
  assert_string_equal(damaged->path, path);
  assert_null(network_load(NETWORK_POSE_LITE, folder, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_NETWORK));
  assert_non_null(strstr(error->message, path));

  g_autoptr(GBytes) genuine = network_load(NETWORK_POSE_LITE, NULL, NULL);
  assert_non_null(genuine);
  gsize size = 0;
  const char *data = g_bytes_get_data(genuine, &size);
  assert_true(g_file_set_contents(path, data, (gssize)size, NULL));
  g_autoptr(GBytes) found = network_load(NETWORK_POSE_LITE, folder, NULL);
  assert_non_null(found);
  g_autoptr(GPtrArray) list = network_list(folder);
  assert_int_equal(list->len, NETWORKS);
  assert_int_equal(((NetworkStatus *)list->pdata[NETWORK_POSE_LITE])->state, NETWORK_FOUND);
  assert_int_equal(((NetworkStatus *)list->pdata[NETWORK_POSE_FULL])->state, NETWORK_MISSING);
  g_unlink(path);
  g_rmdir(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_small_network_computes_what_it_says),
      cmocka_unit_test(a_part_computes_the_same_as_the_whole),
      cmocka_unit_test(contradictions_are_refused),
      cmocka_unit_test(truncated_networks_are_refused),
      cmocka_unit_test(damaged_networks_do_no_harm),
      cmocka_unit_test(other_files_are_refused),
      cmocka_unit_test(the_real_networks_load),
      cmocka_unit_test(damaged_real_networks_do_no_harm),
      cmocka_unit_test(networks_are_found_where_they_are),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

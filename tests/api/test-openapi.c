/* The OpenAPI description and the routes say the same: every route is described, everything described has a
 * route. */
#include "api/dialects.h"
#include "web.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static json_t *description(void) {
  g_autoptr(GBytes) bytes =
      g_resource_lookup_data(web_get_resource(), "/web/openapi.json", G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);
  assert_non_null(bytes);
  gsize size;
  const char *text = g_bytes_get_data(bytes, &size);
  json_t *parsed = json_loadb(text, size, 0, NULL);
  assert_non_null(parsed);
  return parsed;
}

static json_t *operation(json_t *paths, const Route *route) {
  g_autofree char *method = g_ascii_strdown(route->method, -1);
  return json_object_get(json_object_get(paths, route->pattern), method);
}

static void test_every_route_is_described(void **state) {
  json_auto_t *whole = description();
  json_t *paths = json_object_get(whole, "paths");
  for (gsize d = 0; dialects[d]; d++)
    for (gsize r = 0; r < dialects[d]->route_count; r++) {
      const Route *route = &dialects[d]->routes[r];
      json_t *described = operation(paths, route);
      if (!described)
        fail_msg("%s %s is not described", route->method, route->pattern);
      /* What needs no key says so, and nothing else does. */
      assert_int_equal((route->flags & ROUTE_OPEN) != 0, json_object_get(described, "security") != NULL);
      assert_int_equal(route->bodies != BODY_NONE, json_object_get(described, "requestBody") != NULL);
    }
}

static gboolean routed(const char *path, const char *method) {
  for (gsize d = 0; dialects[d]; d++)
    for (gsize r = 0; r < dialects[d]->route_count; r++) {
      const Route *route = &dialects[d]->routes[r];
      if (g_str_equal(route->pattern, path) && g_ascii_strcasecmp(route->method, method) == 0)
        return TRUE;
    }
  return FALSE;
}

static void test_everything_described_has_a_route(void **state) {
  const char *path, *method;
  json_auto_t *whole = description();
  json_t *paths = json_object_get(whole, "paths"), *item, *described;
  json_object_foreach(paths, path, item) {
    json_object_foreach(item, method, described) {
      if (!routed(path, method))
        fail_msg("%s %s is described and not served", method, path);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_route_is_described),
      cmocka_unit_test(test_everything_described_has_a_route),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Fails the test with the message of the GError `error` in scope. */
#pragma once

#define must(condition)                                                                                      \
  do {                                                                                                       \
    if (!(condition))                                                                                        \
      fail_msg("%s: %s", #condition, error ? error->message : "no error");                                   \
  } while (0)

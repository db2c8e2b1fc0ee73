/* Accounts within somebody's transaction (accounts.c, for keys.c). */
#pragma once
#include "app/accounts/accounts.h"

/* The installation's own account, made when there is none (transfer full). */
char *account_own(Session *session, gboolean *fresh, GError **error);
/* The account of a name, made when there is none (transfer full). */
char *account_named(Session *session, const char *name, GError **error);

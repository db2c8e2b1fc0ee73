/* A model whose networks are small and random: everything about it is real but what it draws. */
#pragma once
#include <glib.h>

/* Makes the folder `toy` of it in `folder`; FALSE where the golden data is absent. */
gboolean toy_model_make(const char *folder);

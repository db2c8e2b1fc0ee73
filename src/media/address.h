/* Which addresses of the internet a stranger may make us connect to. Private to media/. */
#pragma once
#include <gio/gio.h>

/* Whether the address belongs to the public internet: assigned for global unicast and not to a special
 * purpose (IANA's IPv4 and IPv6 Special-Purpose Address Registries, RFC 6890). IPv4 inside IPv6 (mapped,
 * NAT64) counts as that IPv4 address; tunnels (6to4, Teredo) never count as public. */
gboolean address_public(GInetAddress *address);

/* The IPv4 address inside an IPv6 one (transfer full), or NULL. */
GInetAddress *address_inside(GInetAddress *address);

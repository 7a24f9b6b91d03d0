/* Keeps a process on loopback: preloaded into every child of the test session.
 *
 * A connection, a datagram or a name look-up that would leave loopback fails with EACCES or EAI_FAIL, and one line
 * `pid TAB command TAB call TAB address` is appended to the file that LOOPBACK_GUARD_LOG names. Calls that stay on
 * loopback go straight on: no allocation, no lock, nothing that a signal handler or a forked child must not do.
 * What calls the kernel directly, without the C library (Go, static binaries), is not seen.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static char log_path[PATH_MAX];
static char own_name[HOST_NAME_MAX + 1];

static void *find(void **symbol, const char *name) {
    if (!*symbol) *symbol = dlsym(RTLD_NEXT, name);
    return *symbol;
}

#define REAL(name) ((__typeof__(&name))find((void **)&real_##name, #name))
#define DECLARE(name) static __typeof__(&name) real_##name
DECLARE(connect);
DECLARE(sendto);
DECLARE(sendmsg);
DECLARE(sendmmsg);
DECLARE(getaddrinfo);
DECLARE(gethostbyname);
DECLARE(gethostbyname2);
DECLARE(gethostbyname_r);
DECLARE(gethostbyname2_r);

/* Symbols are looked up here, before there are threads or signal handlers; REAL repeats it only for calls that other
 * libraries' constructors make earlier. */
__attribute__((constructor)) static void prepare(void) {
    const char *path = getenv("LOOPBACK_GUARD_LOG");
    if (path && strlen(path) < sizeof log_path) strcpy(log_path, path);
    gethostname(own_name, sizeof own_name - 1);
    REAL(connect), REAL(sendto), REAL(sendmsg), REAL(sendmmsg), REAL(getaddrinfo);
    REAL(gethostbyname), REAL(gethostbyname2), REAL(gethostbyname_r), REAL(gethostbyname2_r);
}

static void read_command(char *command, size_t size) {
    int file = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? 0 : read(file, command, size - 1);
    if (file >= 0) close(file);
    if (length <= 0) {
        snprintf(command, size, "%s", program_invocation_short_name);
        return;
    }
    while (length > 0 && !command[length - 1]) length--;
    for (ssize_t i = 0; i < length; i++)
        if ((unsigned char)command[i] < ' ') command[i] = ' ';
    command[length] = 0;
}

static void report(const char *call, const char *address) {
    int before = errno;
    char command[200], line[1024];
    read_command(command, sizeof command);
    int length = snprintf(line, sizeof line, "%d\t%s\t%s\t%s\n", getpid(), command, call, address);
    if (length >= (int)sizeof line) line[(length = sizeof line - 1) - 1] = '\n';
    int file = *log_path ? open(log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (file >= 0) {
        if (write(file, line, length) < 0) { /* nowhere left to say so: the call itself still fails */
        }
        close(file);
    }
    errno = before;
}

/* Addresses that stay on this machine; "any" (0.0.0.0, ::) means loopback to connect(2). */
static int local_ipv4(const unsigned char *bytes) { return bytes[0] == 127 || !memcmp(bytes, "\0\0\0\0", 4); }

static int local_ipv6(const struct in6_addr *address) {
    if (IN6_IS_ADDR_V4MAPPED(address)) return local_ipv4(address->s6_addr + 12);
    return IN6_IS_ADDR_LOOPBACK(address) || IN6_IS_ADDR_UNSPECIFIED(address);
}

static int leaves(const char *call, const struct sockaddr *address, socklen_t length) {
    char host[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 16];
    if (!address || length < sizeof(sa_family_t)) return 0;
    if (address->sa_family == AF_INET && length >= sizeof(struct sockaddr_in)) {
        const struct sockaddr_in *to = (const struct sockaddr_in *)address;
        if (local_ipv4((const unsigned char *)&to->sin_addr)) return 0;
        inet_ntop(AF_INET, &to->sin_addr, host, sizeof host);
        snprintf(text, sizeof text, "%s:%d", host, ntohs(to->sin_port));
    } else if (address->sa_family == AF_INET6 && length >= offsetof(struct sockaddr_in6, sin6_scope_id)) {
        const struct sockaddr_in6 *to = (const struct sockaddr_in6 *)address;
        if (local_ipv6(&to->sin6_addr)) return 0;
        inet_ntop(AF_INET6, &to->sin6_addr, host, sizeof host);
        snprintf(text, sizeof text, "[%s]:%d", host, ntohs(to->sin6_port));
    } else {
        return 0;
    }
    report(call, text);
    errno = EACCES;
    return 1;
}

/* A number needs no look-up, wherever it points: the connection that follows is judged. */
static int looks_up(const char *call, const char *name) {
    unsigned char number[sizeof(struct in6_addr)];
    if (!name || !*name || !strcasecmp(name, "localhost") || !strcasecmp(name, own_name)) return 0;
    if (inet_pton(AF_INET, name, number) == 1 || strchr(name, ':')) return 0;
    report(call, name);
    return 1;
}

int connect(int socket, const struct sockaddr *address, socklen_t length) {
    return leaves("connect", address, length) ? -1 : REAL(connect)(socket, address, length);
}

ssize_t sendto(int socket, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length) {
    return leaves("sendto", to, length) ? -1 : REAL(sendto)(socket, data, size, flags, to, length);
}

ssize_t sendmsg(int socket, const struct msghdr *message, int flags) {
    if (message && leaves("sendmsg", message->msg_name, message->msg_namelen)) return -1;
    return REAL(sendmsg)(socket, message, flags);
}

int sendmmsg(int socket, struct mmsghdr *messages, unsigned int count, int flags) {
    for (unsigned int i = 0; i < count; i++)
        if (leaves("sendmmsg", messages[i].msg_hdr.msg_name, messages[i].msg_hdr.msg_namelen)) return -1;
    return REAL(sendmmsg)(socket, messages, count, flags);
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
    return looks_up("getaddrinfo", name) ? EAI_FAIL : REAL(getaddrinfo)(name, service, hints, result);
}

static int refuse_host(const char *call, const char *name) {
    if (!looks_up(call, name)) return 0;
    h_errno = NO_RECOVERY;
    return 1;
}

struct hostent *gethostbyname(const char *name) {
    return refuse_host("gethostbyname", name) ? NULL : REAL(gethostbyname)(name);
}

struct hostent *gethostbyname2(const char *name, int family) {
    return refuse_host("gethostbyname2", name) ? NULL : REAL(gethostbyname2)(name, family);
}

int gethostbyname_r(const char *name, struct hostent *host, char *buffer, size_t size, struct hostent **result,
                    int *error) {
    if (!looks_up("gethostbyname_r", name)) return REAL(gethostbyname_r)(name, host, buffer, size, result, error);
    *result = NULL;
    *error = NO_RECOVERY;
    return EACCES;
}

int gethostbyname2_r(const char *name, int family, struct hostent *host, char *buffer, size_t size,
                     struct hostent **result, int *error) {
    if (!looks_up("gethostbyname2_r", name))
        return REAL(gethostbyname2_r)(name, family, host, buffer, size, result, error);
    *result = NULL;
    *error = NO_RECOVERY;
    return EACCES;
}

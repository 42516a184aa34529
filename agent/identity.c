#include "agent/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/address.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/str.h"
#include "lib/base/uuid.h"
#include "lib/secure/cert.h"
#include "lib/secure/hash.h"

#define LINK_FILE "link.json"
#define KEY_FILE "key.pem"
#define NEXT_KEY_FILE "key.next.pem"
#define CERT_FILE "cert.pem"
#define CA_FILE "ca.pem"

/* link.json has a handful of short texts. */
enum { LINK_FILE_MAX = 16384, FILE_MODE = 0600, FOLDER_MODE = 0700 };

static void wipe(char *text)
{
    if (text)
        secret_wipe(text, strlen(text));
    free(text);
}

void identity_clear(struct identity *id)
{
    wipe(id->key_pem);
    free(id->cert_pem);
    free(id->ca_pem);
    free(id->host);
    free(id->agents);
    free(id->web);
    free(id->name);
    *id = (struct identity){0};
}

/* ---- checking -------------------------------------------------------------------------------- */

static int refuse(char *reterr_text, size_t size, const char *sentence)
{
    (void)snprintf(reterr_text, size, "%s", sentence);
    return ERR_INVALID;
}

int identity_check(struct identity *id, int64_t now_ms, char *reterr_text, size_t size)
{
    struct cert_facts facts;
    struct address address;
    if (address_parse(id->agents, &address) < 0)
        return refuse(reterr_text, size, "the address of the channel is not host:port");
    if (!uuid_valid(id->host))
        return refuse(reterr_text, size, "the host's id is no UUID");
    if (cert_read(id->cert_pem, &facts) < 0)
        return refuse(reterr_text, size, "the certificate cannot be read");
    if (!str_eq(facts.common_name, id->host))
        return refuse(reterr_text, size, "the certificate is for another host");
    if (cert_check_key(id->cert_pem, id->key_pem) < 0)
        return refuse(reterr_text, size, "the certificate is for another key");
    id->from_ms = facts.not_before_s * 1000;
    id->until_ms = facts.not_after_s * 1000;
    return cert_check(id->cert_pem, id->ca_pem, false, now_ms / 1000, reterr_text, size);
}

int64_t identity_renew_ms(const struct identity *id)
{
    bool plausible = id->issued_ms > id->from_ms && id->issued_ms < id->until_ms;
    int64_t from = plausible ? id->issued_ms : id->from_ms;
    return from + (id->until_ms - from) / 3 * 2;
}

/* ---- files ----------------------------------------------------------------------------------- */

static char *in_folder(const char *home, const char *name)
{
    return xasprintf("%s/agent/%s", home, name);
}

static int write_file(const char *home, const char *name, const char *text)
{
    AUTOFREE char *path = in_folder(home, name);
    return path_write_atomic(path, text, strlen(text), FILE_MODE);
}

/* Reads in one go: a buffer that grows would leave parts of the key behind. */
static int read_file(const char *home, const char *name, size_t max, char **ret_text)
{
    AUTOFREE char *path = in_folder(home, name);
    AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_size < 0 || (size_t)st.st_size > max)
        return S_ISREG(st.st_mode) ? ERR_TOO_BIG : ERR_INVALID;
    char *text = xcalloc(1, (size_t)st.st_size + 1);
    ssize_t n = read(fd, text, (size_t)st.st_size);
    if (n == st.st_size && strlen(text) == (size_t)n) {
        *ret_text = text;
        return 0;
    }
    int r = n < 0 ? -errno : ERR_SYNTAX;
    secret_wipe(text, (size_t)st.st_size);
    free(text);
    return r;
}

static int remove_file(const char *home, const char *name)
{
    AUTOFREE char *path = in_folder(home, name);
    return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* So that what was removed stays so after a power failure. */
static int sync_folder(const char *home)
{
    AUTOFREE char *path = in_folder(home, "");
    AUTOCLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    return fsync(fd) < 0 ? -errno : 0;
}

/* ---- link.json ------------------------------------------------------------------------------- */

static int write_link(const char *home, const struct identity *id)
{
    AUTOJSON json_t *link = json_object();
    json_set_string(link, "host", id->host);
    json_set_string(link, "agents", id->agents);
    json_set_string(link, "web", id->web);
    json_set_string(link, "name", id->name);
    json_set_int(link, "issued_ms", id->issued_ms);
    AUTOBUF struct buf text = BUF_INIT(LINK_FILE_MAX);
    int r = json_to_buf(link, &text);
    return r < 0 ? r : write_file(home, LINK_FILE, buf_str(&text));
}

static int read_link(const char *home, struct identity *id)
{
    AUTOFREE char *text = NULL;
    int r = read_file(home, LINK_FILE, LINK_FILE_MAX, &text);
    if (!text)
        return r;
    AUTOJSON json_t *link = json_object_parse(text, strlen(text));
    if (!link)
        return ERR_SYNTAX;
    id->host = xstrdup_null(json_get_string(link, "host", NULL));
    id->agents = xstrdup_null(json_get_string(link, "agents", NULL));
    id->web = xstrdup_null(json_get_string(link, "web", NULL));
    id->name = xstrdup(json_get_string(link, "name", ""));
    id->issued_ms = json_get_int(link, "issued_ms", 0);
    return id->host && id->agents && id->web ? 0 : ERR_SYNTAX;
}

/* ---- loading --------------------------------------------------------------------------------- */

static int take_next_key(const char *home)
{
    AUTOFREE char *from = in_folder(home, NEXT_KEY_FILE);
    AUTOFREE char *to = in_folder(home, KEY_FILE);
    return rename(from, to) < 0 ? -errno : 0;
}

/* When a crash came between the certificate and its key, the last step is made up for: also in `id`, when it cannot be done on
 * disk. */
static int finish_renewal(const char *home, struct identity *id)
{
    char *next = NULL;
    if (cert_check_key(id->cert_pem, id->key_pem) == 0 ||
        read_file(home, NEXT_KEY_FILE, CERT_PEM_MAX, &next) < 0)
        return 0;
    if (cert_check_key(id->cert_pem, next) < 0) {
        wipe(next);
        return 0;
    }
    wipe(id->key_pem);
    id->key_pem = next;
    return take_next_key(home);
}

static int read_pems(const char *home, struct identity *id, const char **ret_name)
{
    struct {
        const char *name;
        char **to;
    } const files[] = {
        {CA_FILE, &id->ca_pem}, {CERT_FILE, &id->cert_pem}, {KEY_FILE, &id->key_pem}};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        *ret_name = files[i].name;
        int r = read_file(home, files[i].name, CERT_PEM_MAX, files[i].to);
        if (r < 0)
            return r;
    }
    return 0;
}

int identity_load(const char *home, int64_t now_ms, struct identity *ret_id, char *reterr_text,
                  size_t size)
{
    AUTOIDENTITY struct identity id = {0};
    const char *name = LINK_FILE;
    int r = read_link(home, &id);
    if (r == -ENOENT)
        return ERR_NOT_FOUND;
    if (r == 0)
        r = read_pems(home, &id, &name);
    if (r < 0) {
        (void)snprintf(reterr_text, size, "%s/agent/%s cannot be used: %s", home, name, err_str(r));
        return r;
    }
    (void)finish_renewal(home, &id);
    char why[IDENTITY_TEXT];
    r = identity_check(&id, now_ms, why, sizeof why);
    if (r < 0 && r != ERR_EXPIRED) {
        (void)snprintf(reterr_text, size, "the files in %s/agent do not fit together: %s", home,
                       why);
        return r;
    }
    *ret_id = id;
    id = (struct identity){0};
    return 0;
}

/* ---- storing --------------------------------------------------------------------------------- */

int identity_prepare(const char *home)
{
    struct stat st;
    AUTOFREE char *path = xasprintf("%s/agent", home);
    int r = path_mkdir(path, FOLDER_MODE);
    if (r < 0)
        return r;
    if (lstat(path, &st) < 0)
        return -errno;
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid())
        return -EPERM;
    return (st.st_mode & 077) && chmod(path, FOLDER_MODE) < 0 ? -errno : 0;
}

int identity_save(const char *home, const struct identity *id)
{
    int r = identity_prepare(home);
    if (r < 0)
        return r;
    r = identity_forget(home);
    if (r == 0)
        r = write_file(home, CA_FILE, id->ca_pem);
    if (r == 0)
        r = write_file(home, CERT_FILE, id->cert_pem);
    if (r == 0)
        r = write_file(home, KEY_FILE, id->key_pem);
    if (r == 0)
        r = write_link(home, id);
    if (r < 0)
        (void)identity_forget(home);
    return r;
}

/* The next key of an earlier renewal must not be overwritten while a certificate waits for it. */
static int settle(const char *home)
{
    AUTOIDENTITY struct identity stored = {0};
    const char *name;
    int r = read_pems(home, &stored, &name);
    return r < 0 ? r : finish_renewal(home, &stored);
}

int identity_renew(const char *home, const struct identity *id)
{
    int r = settle(home);
    if (r == 0)
        r = write_file(home, NEXT_KEY_FILE, id->key_pem);
    if (r == 0)
        r = write_file(home, CERT_FILE, id->cert_pem);
    if (r < 0)
        return r;
    /* The certificate is there, so it counts: what fails from here on is made up for when it is loaded. */
    if (take_next_key(home) == 0)
        (void)write_link(home, id);
    return 0;
}

int identity_forget(const char *home)
{
    static const char *const names[] = {LINK_FILE, KEY_FILE, NEXT_KEY_FILE, CERT_FILE, CA_FILE};
    int first = 0;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        int r = remove_file(home, names[i]);
        if (first == 0)
            first = r;
    }
    int r = sync_folder(home);
    return first < 0 ? first : r;
}

/* Counts the calls by which a process changes or reads the files below one folder, and lets the one that is asked for
   fail, or end the process. Preloaded: LD_PRELOAD. What is asked for, and what happened, is in memory that the harness
   shares with all processes of a case: see machine.py, which has the same fields in the same order. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, NAME = 4, CUT = 8, OPEN = 16, READ = 32, LINK = 64 };
enum { NOTHING, COUNT, FAIL_ONCE, FAIL_FROM, KILL_ALL, KILL_ONE };
enum { MOST_PROCESSES = 4096 };

struct shared {
    int32_t action, error, calls, n_pids;  /* calls: a sum of those above, which count */
    int64_t target, counter;               /* the number of the call that something happens at, from 1 */
    int32_t pids[MOST_PROCESSES];          /* of the processes of this case */
    char folder[1024], what[1024];
};
static struct shared *shared;

static void join(void) {
    if (shared && shared->action) {
        int n = __atomic_fetch_add(&shared->n_pids, 1, __ATOMIC_SEQ_CST);
        if (n < MOST_PROCESSES) shared->pids[n] = getpid();
    }
}

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("FAULTS_SHARED");
    int fd = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *there = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    shared = there == MAP_FAILED ? NULL : there;
    close(fd);
    pthread_atfork(NULL, NULL, join);
    join();
}

static void end_all(void) {
    int n = shared->n_pids < MOST_PROCESSES ? shared->n_pids : MOST_PROCESSES;
    for (int i = 0; i < n; i++)
        if (shared->pids[i] > 1 && shared->pids[i] != getpid()) kill(shared->pids[i], SIGKILL);
    kill(getpid(), SIGKILL);
}

/* What shall become of a call: 0, an errno, or -1 for the end of the process. */
static int fate(int call, const char *name, const char *path) {
    size_t n;
    if (!shared || !shared->action || !(shared->calls & call) || !path) return 0;
    n = strlen(shared->folder);
    if (strncmp(path, shared->folder, n) || (path[n] && path[n] != '/')) return 0;
    int64_t turn = __atomic_add_fetch(&shared->counter, 1, __ATOMIC_SEQ_CST);
    int action = shared->action;
    if (action == COUNT || turn < shared->target || (turn > shared->target && action != FAIL_FROM)) return 0;
    if (turn == shared->target) snprintf(shared->what, sizeof shared->what, "%s %.900s", name, path + n + !!path[n]);
    return action == FAIL_ONCE || action == FAIL_FROM ? shared->error : -1;
}

static void end(void) {
    if (shared->action == KILL_ALL) end_all();
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static int fate_of(int call, const char *name, int fd) {
    char link[64], path[1024];
    if (fd < 3 || !shared || !shared->action || !(shared->calls & call)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int before = errno;
    ssize_t n = readlink(link, path, sizeof path - 1);
    errno = before;
    if (n < 0) return 0;
    path[n] = 0;
    return fate(call, name, path);
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define JUDGE(found) do { int f = (found); if (f < 0) end(); if (f) { errno = f; return -1; } } while (0)
/* A write that is cut short by the end of the process has written a half. */
#define JUDGE_WRITE(half) do { int f = fate_of(WRITE, "write", fd); \
    if (f < 0) { (void)!(half); end(); } if (f) { errno = f; return -1; } } while (0)

ssize_t write(int fd, const void *data, size_t n) {
    REAL(write); JUDGE_WRITE(real(fd, data, n / 2)); return real(fd, data, n); }
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) {
    REAL(pwrite); JUDGE_WRITE(real(fd, data, n / 2, at)); return real(fd, data, n, at); }
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
    REAL(pwrite64); JUDGE_WRITE(real(fd, data, n / 2, at)); return real(fd, data, n, at); }
ssize_t writev(int fd, const struct iovec *parts, int n) {
    REAL(writev); JUDGE_WRITE(real(fd, parts, n / 2)); return real(fd, parts, n); }
ssize_t read(int fd, void *data, size_t n) { REAL(read); JUDGE(fate_of(READ, "read", fd)); return real(fd, data, n); }
ssize_t pread(int fd, void *data, size_t n, off_t at) {
    REAL(pread); JUDGE(fate_of(READ, "read", fd)); return real(fd, data, n, at); }
ssize_t pread64(int fd, void *data, size_t n, off64_t at) {
    REAL(pread64); JUDGE(fate_of(READ, "read", fd)); return real(fd, data, n, at); }
int fsync(int fd) { REAL(fsync); JUDGE(fate_of(SYNC, "fsync", fd)); return real(fd); }
int fdatasync(int fd) { REAL(fdatasync); JUDGE(fate_of(SYNC, "fdatasync", fd)); return real(fd); }
int ftruncate(int fd, off_t n) { REAL(ftruncate); JUDGE(fate_of(CUT, "ftruncate", fd)); return real(fd, n); }
int ftruncate64(int fd, off64_t n) { REAL(ftruncate64); JUDGE(fate_of(CUT, "ftruncate", fd)); return real(fd, n); }
int truncate(const char *path, off_t n) { REAL(truncate); JUDGE(fate(CUT, "truncate", path)); return real(path, n); }
int truncate64(const char *path, off64_t n) {
    REAL(truncate64); JUDGE(fate(CUT, "truncate", path)); return real(path, n); }
int rename(const char *from, const char *to) {
    REAL(rename); JUDGE(fate(NAME, "rename", to)); return real(from, to); }
int renameat(int a, const char *from, int b, const char *to) {
    REAL(renameat); JUDGE(fate(NAME, "rename", to)); return real(a, from, b, to); }
int link(const char *from, const char *to) { REAL(link); JUDGE(fate(LINK, "link", to)); return real(from, to); }
int linkat(int a, const char *from, int b, const char *to, int flags) {
    REAL(linkat); JUDGE(fate(LINK, "link", to)); return real(a, from, b, to, flags); }
int unlink(const char *path) { REAL(unlink); JUDGE(fate(NAME, "unlink", path)); return real(path); }
int unlinkat(int a, const char *path, int flags) {
    REAL(unlinkat); JUDGE(fate(NAME, "unlink", path)); return real(a, path, flags); }
int mkdir(const char *path, mode_t mode) { REAL(mkdir); JUDGE(fate(NAME, "mkdir", path)); return real(path, mode); }

#define OPENING(name, ...) do { REAL(name); int mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, int); va_end(rest); } \
    JUDGE(fate(OPEN, "open", path)); return real(__VA_ARGS__, mode); } while (0)
int open(const char *path, int flags, ...) { OPENING(open, path, flags); }
int open64(const char *path, int flags, ...) { OPENING(open64, path, flags); }
int openat(int fd, const char *path, int flags, ...) { OPENING(openat, fd, path, flags); }
int openat64(int fd, const char *path, int flags, ...) { OPENING(openat64, fd, path, flags); }

/* No case asks the network for anything: a damaged configuration must not lead there. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    REAL(getaddrinfo);
    if (shared && host && strcmp(host, "localhost") && strspn(host, "0123456789.:") != strlen(host)) return EAI_AGAIN;
    return real(host, service, hints, found);
}

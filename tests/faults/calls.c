/* Counts the calls by which a process changes or reads the files below one folder, and lets the one that is asked for
   fail, or end the process; or records what they change. Preloaded: LD_PRELOAD. What is asked for, and what happened,
   is in memory that the harness shares with all processes of a case: see machine.py, which has the same fields in the
   same order. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, NAME = 4, CUT = 8, OPEN = 16, READ = 32, LINK = 64 };
enum { NOTHING, COUNT, FAIL_ONCE, FAIL_FROM, KILL_ALL, KILL_ONE, RECORD };
enum { MOST_PROCESSES = 4096, RECORD_BYTES = 1 << 27, PATH = 1024 };

struct shared {
    int32_t action, error, calls, n_pids;  /* calls: a sum of those above, which count */
    int64_t target, counter;               /* the number of the call that something happens at, from 1 */
    int32_t pids[MOST_PROCESSES];          /* of the processes of this case */
    char folder[PATH], what[PATH];
    int64_t recorded;                      /* bytes of the record */
    int32_t is_locked, is_full;            /* the record */
    char record[RECORD_BYTES];
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

/* A path as it is below the folder, "" for the folder itself; NULL if it is elsewhere. */
static const char *below(const char *path) {
    size_t n = strlen(shared->folder);
    if (strncmp(path, shared->folder, n) || (path[n] && path[n] != '/')) return NULL;
    return path + n + !!path[n];
}

static const char *path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int before = errno;
    ssize_t n = readlink(link, path, PATH - 1);
    errno = before;
    if (n < 0) return NULL;
    path[n] = 0;
    return path;
}

/* What shall become of a call: 0, an errno, or -1 for the end of the process. */
static int fate(int call, const char *name, const char *path) {
    if (!shared || !shared->action || !(shared->calls & call) || !path || !(path = below(path))) return 0;
    int64_t turn = __atomic_add_fetch(&shared->counter, 1, __ATOMIC_SEQ_CST);
    int action = shared->action;
    if (action == COUNT || turn < shared->target || (turn > shared->target && action != FAIL_FROM)) return 0;
    if (turn == shared->target) snprintf(shared->what, sizeof shared->what, "%s %.900s", name, path);
    return action == FAIL_ONCE || action == FAIL_FROM ? shared->error : -1;
}

static void end(void) {
    if (shared->action == KILL_ALL) end_all();
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static int fate_of(int call, const char *name, int fd) {
    char path[PATH];
    if (fd < 3 || !shared || !shared->action || !(shared->calls & call)) return 0;
    return fate(call, name, path_of(fd, path));
}

/* --- the record: what losses.py reads, in the order of all processes. Each change holds the lock from before its call
   until it is noted. Nothing is said of sync_file_range, which promises nothing that survives a power cut. */

struct change { int64_t kind, inode, at, path_bytes, to_bytes, data_bytes; };

static void note(char kind, ino_t inode, off_t at, const char *path, const char *to, const void *data, size_t n) {
    struct change one = {kind, inode, at, strlen(path), strlen(to), n};
    size_t bytes = sizeof one + one.path_bytes + one.to_bytes + n;
    if (bytes > (size_t)(RECORD_BYTES - shared->recorded)) { shared->is_full = 1; return; }
    char *end = mempcpy(shared->record + shared->recorded, &one, sizeof one);
    end = mempcpy(mempcpy(end, path, one.path_bytes), to, one.to_bytes);
    memcpy(end, data, n);
    shared->recorded += bytes;
}

static sigset_t lock(void) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);  /* a signal might end the process that holds it */
    while (__atomic_exchange_n(&shared->is_locked, 1, __ATOMIC_ACQUIRE)) sched_yield();
    return before;
}

static void unlock(sigset_t before) {
    __atomic_store_n(&shared->is_locked, 0, __ATOMIC_RELEASE);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static int is_recording(void) { return shared && shared->action == RECORD; }

static int is_recorded(int fd) {
    char path[PATH];
    return is_recording() && fd > 2 && path_of(fd, path) && below(path);
}

/* As below(), for a path that may begin in the open folder `start`, or in this process's. */
static const char *recorded(int start, const char *path, char *whole) {
    char first[PATH];
    if (!is_recording()) return NULL;
    if (path[0] == '/') return below(path);
    if (start == AT_FDCWD ? !getcwd(first, sizeof first) : !path_of(start, first)) return NULL;
    snprintf(whole, 3 * PATH, "%s/%s", first, path);
    return below(whole);
}

/* data: of a write at that offset. */
static void note_file(char kind, int fd, off_t at, const void *data, size_t n) {
    struct stat file;
    char path[PATH];
    const char *name = path_of(fd, path) ? below(path) : NULL;
    if (!fstat(fd, &file)) note(kind, file.st_ino, at, name ? name : "", "", data, n);
}

static off_t place_of(int fd) { return lseek(fd, 0, SEEK_CUR); }

static void note_parts(int fd, const struct iovec *parts, size_t n) {
    for (off_t at = place_of(fd) - n; n; parts++) {
        size_t some = parts->iov_len < n ? parts->iov_len : n;
        note_file('w', fd, at, parts->iov_base, some);
        at += some;
        n -= some;
    }
}

static void note_path(char kind, int start, const char *path, off_t at, const char *name) {
    struct stat file;
    if (!fstatat(start, path, &file, 0)) note(kind, file.st_ino, at, name, "", "", 0);
}

#define NOTING(is_ours, type, call, noted) do { \
    if (!(is_ours)) return call; \
    sigset_t before = lock(); \
    type done = call; \
    int error = errno; \
    if (done != (type)-1) { noted; } \
    unlock(before); errno = error; return done; } while (0)

/* --- the calls ------------------------------------------------------------------------------------------- */

#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define JUDGE(found) do { int f = (found); if (f < 0) end(); if (f) { errno = f; return -1; } } while (0)
/* A write that is cut short by the end of the process has written a half. */
#define JUDGE_WRITE(half) do { int f = fate_of(WRITE, "write", fd); \
    if (f < 0) { (void)!(half); end(); } if (f) { errno = f; return -1; } } while (0)

ssize_t write(int fd, const void *data, size_t n) {
    REAL(write); JUDGE_WRITE(real(fd, data, n / 2));
    NOTING(is_recorded(fd), ssize_t, real(fd, data, n), note_file('w', fd, place_of(fd) - done, data, done)); }
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) {
    REAL(pwrite); JUDGE_WRITE(real(fd, data, n / 2, at));
    NOTING(is_recorded(fd), ssize_t, real(fd, data, n, at), note_file('w', fd, at, data, done)); }
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
    REAL(pwrite64); JUDGE_WRITE(real(fd, data, n / 2, at));
    NOTING(is_recorded(fd), ssize_t, real(fd, data, n, at), note_file('w', fd, at, data, done)); }
ssize_t writev(int fd, const struct iovec *parts, int n) {
    REAL(writev); JUDGE_WRITE(real(fd, parts, n / 2));
    NOTING(is_recorded(fd), ssize_t, real(fd, parts, n), note_parts(fd, parts, done)); }
/* numpy's way; what it writes in the end is a call within the C library, which is not seen. */
size_t fwrite(const void *data, size_t size, size_t n, FILE *stream) {
    REAL(fwrite);
    off_t at = is_recorded(fileno(stream)) ? ftello(stream) : -1;
    NOTING(at >= 0, size_t, real(data, size, n, stream), note_file('w', fileno(stream), at, data, done * size)); }
ssize_t read(int fd, void *data, size_t n) { REAL(read); JUDGE(fate_of(READ, "read", fd)); return real(fd, data, n); }
ssize_t pread(int fd, void *data, size_t n, off_t at) {
    REAL(pread); JUDGE(fate_of(READ, "read", fd)); return real(fd, data, n, at); }
ssize_t pread64(int fd, void *data, size_t n, off64_t at) {
    REAL(pread64); JUDGE(fate_of(READ, "read", fd)); return real(fd, data, n, at); }
int fsync(int fd) {
    REAL(fsync); JUDGE(fate_of(SYNC, "fsync", fd));
    NOTING(is_recorded(fd), int, real(fd), note_file('s', fd, 0, "", 0)); }
int fdatasync(int fd) {
    REAL(fdatasync); JUDGE(fate_of(SYNC, "fdatasync", fd));
    NOTING(is_recorded(fd), int, real(fd), note_file('s', fd, 0, "", 0)); }
int ftruncate(int fd, off_t n) {
    REAL(ftruncate); JUDGE(fate_of(CUT, "ftruncate", fd));
    NOTING(is_recorded(fd), int, real(fd, n), note_file('t', fd, n, "", 0)); }
int ftruncate64(int fd, off64_t n) {
    REAL(ftruncate64); JUDGE(fate_of(CUT, "ftruncate", fd));
    NOTING(is_recorded(fd), int, real(fd, n), note_file('t', fd, n, "", 0)); }

/* `rest`, and of two paths `old` as well, are as they are below the folder. */
#define REST(start, path) char whole[3 * PATH]; const char *rest = recorded(start, path, whole)
#define OLD(start, path) char former[3 * PATH]; const char *old = recorded(start, path, former)

int truncate(const char *path, off_t n) {
    REAL(truncate); JUDGE(fate(CUT, "truncate", path)); REST(AT_FDCWD, path);
    NOTING(rest, int, real(path, n), note_path('t', AT_FDCWD, path, n, rest)); }
int truncate64(const char *path, off64_t n) {
    REAL(truncate64); JUDGE(fate(CUT, "truncate", path)); REST(AT_FDCWD, path);
    NOTING(rest, int, real(path, n), note_path('t', AT_FDCWD, path, n, rest)); }
int rename(const char *from, const char *to) {
    REAL(rename); JUDGE(fate(NAME, "rename", to)); OLD(AT_FDCWD, from); REST(AT_FDCWD, to);
    NOTING(old && rest, int, real(from, to), note('r', 0, 0, old, rest, "", 0)); }
int renameat(int a, const char *from, int b, const char *to) {
    REAL(renameat); JUDGE(fate(NAME, "rename", to)); OLD(a, from); REST(b, to);
    NOTING(old && rest, int, real(a, from, b, to), note('r', 0, 0, old, rest, "", 0)); }
int link(const char *from, const char *to) {
    REAL(link); JUDGE(fate(LINK, "link", to)); OLD(AT_FDCWD, from); REST(AT_FDCWD, to);
    NOTING(old && rest, int, real(from, to), note('l', 0, 0, old, rest, "", 0)); }
int linkat(int a, const char *from, int b, const char *to, int flags) {
    REAL(linkat); JUDGE(fate(LINK, "link", to)); OLD(a, from); REST(b, to);
    NOTING(old && rest, int, real(a, from, b, to, flags), note('l', 0, 0, old, rest, "", 0)); }
int unlink(const char *path) {
    REAL(unlink); JUDGE(fate(NAME, "unlink", path)); REST(AT_FDCWD, path);
    NOTING(rest, int, real(path), note('u', 0, 0, rest, "", "", 0)); }
int unlinkat(int a, const char *path, int flags) {
    REAL(unlinkat); JUDGE(fate(NAME, "unlink", path)); REST(a, path);
    NOTING(rest, int, real(a, path, flags), note('u', 0, 0, rest, "", "", 0)); }
int rmdir(const char *path) {
    REAL(rmdir); REST(AT_FDCWD, path);
    NOTING(rest, int, real(path), note('u', 0, 0, rest, "", "", 0)); }
int mkdir(const char *path, mode_t mode) {
    REAL(mkdir); JUDGE(fate(NAME, "mkdir", path)); REST(AT_FDCWD, path);
    NOTING(rest, int, real(path, mode), note_path('m', AT_FDCWD, path, 0, rest)); }

/* A file that is there is opened, and perhaps emptied; another one is made. */
#define OPENING(name, start, ...) do { REAL(name); int mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { va_list all; va_start(all, flags); mode = va_arg(all, int); va_end(all); } \
    JUDGE(fate(OPEN, "open", path)); \
    REST(start, path); \
    if (!rest || !(flags & (O_CREAT | O_TRUNC))) return real(__VA_ARGS__, mode); \
    struct stat file; \
    sigset_t before = lock(); \
    int is_there = !fstatat(start, path, &file, 0), opened = real(__VA_ARGS__, mode), error = errno; \
    if (opened >= 0 && !is_there) note_path('c', start, path, 0, rest); \
    if (opened >= 0 && is_there && flags & O_TRUNC) note_path('t', start, path, 0, rest); \
    unlock(before); errno = error; return opened; } while (0)
int open(const char *path, int flags, ...) { OPENING(open, AT_FDCWD, path, flags); }
int open64(const char *path, int flags, ...) { OPENING(open64, AT_FDCWD, path, flags); }
int openat(int fd, const char *path, int flags, ...) { OPENING(openat, fd, fd, path, flags); }
int openat64(int fd, const char *path, int flags, ...) { OPENING(openat64, fd, fd, path, flags); }

/* No case asks the network for anything: a damaged configuration must not lead there. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    REAL(getaddrinfo);
    if (shared && host && strcmp(host, "localhost") && strspn(host, "0123456789.:") != strlen(host)) return EAI_AGAIN;
    return real(host, service, hints, found);
}

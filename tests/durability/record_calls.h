/* The system calls that `record.c` lets through, and how it makes calls and reads them, by architecture. */
#ifndef RECORD_CALLS_H
#define RECORD_CALLS_H

#include <sys/syscall.h>
#include <ucontext.h>

/* The one place from which everything is allowed; returns what the kernel does, no errno. */
extern long record_syscall(long number, long a, long b, long c, long d, long e, long f)
    __attribute__((visibility("hidden")));
extern char record_syscall_end[] __attribute__((visibility("hidden"))); /* behind its instruction */

#if defined(__x86_64__)
#define RECORD_ARCH AUDIT_ARCH_X86_64
__asm__(".text\n.hidden record_syscall\n.hidden record_syscall_end\n"
        ".globl record_syscall\n.globl record_syscall_end\n"
        "record_syscall:\n"
        "mov %rdi, %rax\nmov %rsi, %rdi\nmov %rdx, %rsi\nmov %rcx, %rdx\n"
        "mov %r8, %r10\nmov %r9, %r8\nmov 8(%rsp), %r9\nsyscall\n"
        "record_syscall_end:\nret\n");
#elif defined(__aarch64__)
#define RECORD_ARCH AUDIT_ARCH_AARCH64
__asm__(".text\n.hidden record_syscall\n.hidden record_syscall_end\n"
        ".globl record_syscall\n.globl record_syscall_end\n"
        "record_syscall:\n"
        "mov x8, x0\nmov x0, x1\nmov x1, x2\nmov x2, x3\nmov x3, x4\nmov x4, x5\nmov x5, x6\nsvc #0\n"
        "record_syscall_end:\nret\n");
#endif

/* Reads the arguments of a trapped call; returns where its result goes. */
static long *record_registers(void *context, long arguments[6]) {
#if defined(__x86_64__)
    static const int order[6] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    for (int i = 0; i < 6; i++) {
        arguments[i] = (long)registers[order[i]];
    }
    return (long *)&registers[REG_RAX];
#elif defined(__aarch64__)
    unsigned long long *registers = ((ucontext_t *)context)->uc_mcontext.regs;
    for (int i = 0; i < 6; i++) {
        arguments[i] = (long)registers[i];
    }
    return (long *)&registers[0];
#endif
}

/* They read, wait, ask, talk to other processes, or change what is no content and no name of a file. */
static const int record_harmless[] = {
    SYS_futex,
    SYS_read,
    SYS_pread64,
    SYS_epoll_pwait,
    SYS_clock_gettime,
    SYS_rt_sigreturn,
    SYS_rt_sigprocmask,
    SYS_rt_sigaction,
    SYS_readv,
    SYS_preadv,
    SYS_close,
    SYS_close_range,
    SYS_fstat,
    SYS_newfstatat,
    SYS_statx,
    SYS_statfs,
    SYS_fstatfs,
    SYS_faccessat,
    SYS_readlinkat,
    SYS_getdents64,
    SYS_getcwd,
    SYS_lseek,
    SYS_flock,
    SYS_fcntl,
    SYS_fadvise64,
    SYS_readahead,
    SYS_fchmod,
    SYS_fchmodat,
    SYS_utimensat,
    SYS_umask,
    SYS_dup,
    SYS_dup3,
    SYS_pipe2,
    SYS_ppoll,
    SYS_pselect6,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_eventfd2,
    SYS_socket,
    SYS_socketpair,
    SYS_bind,
    SYS_listen,
    SYS_accept4,
    SYS_connect,
    SYS_getsockname,
    SYS_getpeername,
    SYS_setsockopt,
    SYS_getsockopt,
    SYS_sendto,
    SYS_recvfrom,
    SYS_sendmsg,
    SYS_recvmsg,
    SYS_shutdown,
    SYS_munmap,
    SYS_mprotect,
    SYS_mremap,
    SYS_madvise,
    SYS_mincore,
    SYS_brk,
    SYS_clone,
    SYS_clone3,
    SYS_set_tid_address,
    SYS_set_robust_list,
    SYS_rseq,
    SYS_membarrier,
    SYS_exit,
    SYS_wait4,
    SYS_waitid,
    SYS_kill,
    SYS_tgkill,
    SYS_sigaltstack,
    SYS_getpid,
    SYS_getppid,
    SYS_gettid,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getrandom,
    SYS_getrusage,
    SYS_prlimit64,
    SYS_sysinfo,
    SYS_uname,
    SYS_times,
    SYS_prctl,
    SYS_clock_getres,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_restart_syscall,
#ifdef SYS_open /* what only older architectures have */
    SYS_stat,
    SYS_lstat,
    SYS_access,
    SYS_readlink,
    SYS_dup2,
    SYS_pipe,
    SYS_poll,
    SYS_select,
    SYS_epoll_wait,
    SYS_epoll_create,
    SYS_accept,
    SYS_fork,
    SYS_vfork,
    SYS_arch_prctl,
    SYS_time,
    SYS_gettimeofday,
    SYS_chmod,
#endif
};

#endif

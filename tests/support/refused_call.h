// Refused calls: the kernel gives a process an error for a system call, as a file system would that knows no
// such call. There is no way back, so that it is for processes of their own (death tests).
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace cola {

inline void refuse_calls(const sock_filter* filter, std::size_t size) {
  const sock_fprog program{static_cast<unsigned short>(size), const_cast<sock_filter*>(filter)};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    std::perror("seccomp");
}

/// From here on system call number `call` (SYS_...) fails with error number `reason`.
inline void refuse_call(unsigned call, int reason) {
  const std::array<sock_filter, 4> filter{
      {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
       BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
       BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(reason)),
       BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)}};
  refuse_calls(filter.data(), filter.size());
}

/// The same for calls with this second argument alone.
inline void refuse_call(unsigned call, unsigned second_argument, int reason) {
  constexpr unsigned place = offsetof(seccomp_data, args) + sizeof(std::uint64_t);
  const std::array<sock_filter, 6> filter{
      {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
       BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, place),
       BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, second_argument, 0, 1),
       BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(reason)),
       BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)}};
  refuse_calls(filter.data(), filter.size());
}

}  // namespace cola

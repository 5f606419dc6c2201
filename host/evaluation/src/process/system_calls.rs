//! Which system calls a whole sandbox may make, as a filter that bubblewrap installs before anything of
//! ours runs in it. The harness narrows its guests down much further; **this one holds also where the
//! harness is deceived**, and takes away what neither scorer nor guest ever needs: namespaces, mounts,
//! tracing, loading into the kernel, keyrings, and kinds of sockets that no namespace holds in.

/// Loads a word of what the kernel tells about the call.
const LOAD: u16 = 0x20;
/// Jumps where the word is equal.
const EQUAL: u16 = 0x15;
/// Jumps where the word has any of the bits.
const ANY_BIT: u16 = 0x45;
/// Ends with a verdict.
const RETURN: u16 = 0x06;

const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0x8000_0000;
const REFUSE: u32 = 0x0005_0000;
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// Where the number of the call, its architecture and its first argument are told.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const FIRST_ARGUMENT_AT: u32 = 16;

/// All flags of `clone` that ask for a new namespace.
const NEW_NAMESPACES: u32 = 0x7e02_0080;
/// Kinds of sockets that may be made: local ones, and those that end at the empty network namespace.
const SOCKET_FAMILIES: [u32; 4] = [1, 2, 10, 16];

/// An architecture: its name to the kernel, and numbers of calls.
struct Machine {
    audit: u32,
    /// Set in the numbers of a second table of the same calls.
    other_table: Option<u32>,
    clone: u32,
    socket: u32,
    /// Refused as forbidden.
    forbidden: &'static [u32],
    /// Refused as if the kernel had not got them, so that callers fall back.
    absent: &'static [u32],
}

// In this order: mount umount2 pivot_root chroot unshare setns; ptrace process_vm_readv process_vm_writev
// kcmp pidfd_getfd process_madvise; bpf perf_event_open userfaultfd fanotify_init; add_key request_key
// keyctl; init_module finit_module delete_module kexec_load kexec_file_load reboot; swapon swapoff acct
// quotactl syslog vhangup; settimeofday clock_settime adjtimex clock_adjtime sethostname setdomainname;
// mknodat; open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr quotactl_fd; personality.
const X86_64: Machine = Machine {
    audit: 0xc000_003e,
    other_table: Some(0x4000_0000),
    clone: 56,
    socket: 41,
    forbidden: &[
        165, 166, 155, 161, 272, 308, 101, 310, 311, 312, 438, 440, 321, 298, 323, 300, 248, 249,
        250, 175, 313, 176, 246, 320, 169, 167, 168, 163, 179, 103, 153, 164, 227, 159, 305, 170,
        171, 259, 428, 429, 430, 431, 432, 433, 442, 443, 135, // and mknod iopl ioperm
        133, 172, 173,
    ],
    // clone3 openat2 io_uring_setup io_uring_enter io_uring_register name_to_handle_at open_by_handle_at
    absent: &[435, 437, 425, 426, 427, 303, 304],
};

/// The same calls in the same order.
const AARCH64: Machine = Machine {
    audit: 0xc000_00b7,
    other_table: None,
    clone: 220,
    socket: 198,
    forbidden: &[
        40, 39, 41, 51, 97, 268, 117, 270, 271, 272, 438, 440, 280, 241, 282, 262, 217, 218, 219,
        105, 273, 106, 104, 294, 142, 224, 225, 89, 60, 116, 58, 170, 112, 171, 266, 161, 162, 33,
        428, 429, 430, 431, 432, 433, 442, 443, 92,
    ],
    absent: &[435, 437, 425, 426, 427, 264, 265],
};

/// The filter for this machine; none for one that it is not written for.
pub(crate) fn filter() -> Option<Vec<u8>> {
    match std::env::consts::ARCH {
        "x86_64" => Some(packed(&program(&X86_64))),
        "aarch64" => Some(packed(&program(&AARCH64))),
        _ => None,
    }
}

/// One instruction: what to do, how far to jump if it holds and if not, and with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Instruction {
    operation: u16,
    if_true: u8,
    if_false: u8,
    operand: u32,
}

const fn step(operation: u16, operand: u32) -> Instruction {
    Instruction { operation, if_true: 0, if_false: 0, operand }
}

/// Goes on where it holds, and passes over the next so many where not.
const fn only_if(operation: u16, operand: u32, otherwise: u8) -> Instruction {
    Instruction { operation, if_true: 0, if_false: otherwise, operand }
}

fn program(machine: &Machine) -> Vec<Instruction> {
    let forbid = step(RETURN, REFUSE | EPERM);
    let allow = step(RETURN, ALLOW);
    let mut code = vec![
        step(LOAD, ARCHITECTURE_AT),
        // Calls of another architecture have other numbers: whoever makes one knows it.
        Instruction { operation: EQUAL, if_true: 1, if_false: 0, operand: machine.audit },
        step(RETURN, KILL),
        step(LOAD, NUMBER_AT),
    ];
    if let Some(bit) = machine.other_table {
        code.extend([only_if(ANY_BIT, bit, 1), forbid]);
    }
    for call in machine.forbidden {
        code.extend([only_if(EQUAL, *call, 1), forbid]);
    }
    for call in machine.absent {
        code.extend([only_if(EQUAL, *call, 1), step(RETURN, REFUSE | ENOSYS)]);
    }
    code.extend([
        only_if(EQUAL, machine.clone, 4),
        step(LOAD, FIRST_ARGUMENT_AT),
        only_if(ANY_BIT, NEW_NAMESPACES, 1),
        forbid,
        allow,
    ]);
    let families = u8::try_from(SOCKET_FAMILIES.len()).unwrap_or(u8::MAX);
    code.push(only_if(EQUAL, machine.socket, families * 2 + 2));
    code.push(step(LOAD, FIRST_ARGUMENT_AT));
    for family in SOCKET_FAMILIES {
        code.extend([only_if(EQUAL, family, 1), allow]);
    }
    code.extend([forbid, allow]);
    code
}

/// As the kernel reads it.
fn packed(code: &[Instruction]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(code.len() * 8);
    for Instruction { operation, if_true, if_false, operand } in code {
        bytes.extend(operation.to_ne_bytes());
        bytes.extend([*if_true, *if_false]);
        bytes.extend(operand.to_ne_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel does with a filter.
    fn verdict(code: &[Instruction], architecture: u32, call: u32, first: u32) -> u32 {
        let (mut at, mut word) = (0, 0);
        loop {
            let Instruction { operation, if_true, if_false, operand } = code[at];
            at += 1;
            let holds = match operation {
                LOAD => {
                    word = match operand {
                        NUMBER_AT => call,
                        ARCHITECTURE_AT => architecture,
                        _ => first,
                    };
                    continue;
                }
                RETURN => return operand,
                EQUAL => word == operand,
                _ => word & operand != 0,
            };
            at += usize::from(if holds { if_true } else { if_false });
        }
    }

    #[test]
    fn what_is_refused_is_refused_and_all_else_is_not() {
        for machine in [X86_64, AARCH64] {
            let code = program(&machine);
            let told = |call, first| verdict(&code, machine.audit, call, first);
            for call in machine.forbidden {
                assert_eq!(told(*call, 0), REFUSE | EPERM, "{call}");
            }
            for call in machine.absent {
                assert_eq!(told(*call, 0), REFUSE | ENOSYS, "{call}");
            }
            assert_eq!(told(machine.clone, 0x0000_0011), ALLOW, "a fork");
            assert_eq!(told(machine.clone, 0x1000_0011), REFUSE | EPERM, "a user namespace");
            for family in 0..64 {
                let allowed = SOCKET_FAMILIES.contains(&family);
                assert_eq!(told(machine.socket, family) == ALLOW, allowed, "{family}");
            }
            // Anything else: openat, read and a call that is not known yet.
            for call in [machine.clone + 1, 257, 63, 600] {
                let named = machine.forbidden.contains(&call) || machine.absent.contains(&call);
                assert!(named || told(call, 0) == ALLOW, "{call}");
            }
            assert_eq!(verdict(&code, 0x4000_0003, 1, 0), KILL, "another architecture");
            assert!(code.len() < 4_096);
        }
        assert_eq!(X86_64.forbidden.len(), AARCH64.forbidden.len() + 3);
        assert_eq!(X86_64.absent.len(), AARCH64.absent.len());
        assert_eq!(verdict(&program(&X86_64), X86_64.audit, 0x4000_0000, 0), REFUSE | EPERM);
    }
}

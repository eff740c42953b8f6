"""A real Slurm of two nodes on this machine: munged, slurmctld and two slurmds, each with a hostname and a /tmp of its
own. Everything lives in one folder and in namespaces of its own, so that nothing outlives the test and no port is another
cluster's.
"""
import fcntl
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

NODES = ("n1", "n2")
SKIPPED = 77  # what ctest takes for a skipped test
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
INSIDE = "COLA_SLURM_NAMESPACE"
UNSHARE = ("unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc")

SLURM_CONF = """\
ClusterName=cola
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=8
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=pmix
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=0,bf_interval=2
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
StateSaveLocation={folder}/state
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdSpoolDir={folder}/spool-%n
SlurmdTimeout=20
KillWait=30
MailProg=/bin/true
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


def check_that_it_can_be_started():
    """Skips the test where this machine cannot have a Slurm."""
    for program in ("slurmctld", "slurmd", "munged", "unshare", "srun"):
        if not shutil.which(program, path="/usr/sbin:/sbin:" + os.environ["PATH"]):
            skip(f"{program} is not installed (Debian: slurm-wlm, munge)")
    if os.geteuid() != 0:
        skip("a Slurm of two nodes on one machine needs root")
    if subprocess.run([*UNSHARE, "true"], capture_output=True).returncode != 0:
        skip("this machine does not allow new namespaces (unshare)")


def in_namespace(*more):
    """The command that starts this program again, with more arguments, inside namespaces whose end is the end of every
    daemon and mount."""
    os.environ[INSIDE] = "1"
    os.environ["PATH"] = "/usr/sbin:/sbin:" + os.environ["PATH"]
    return [*UNSHARE, sys.executable, *sys.argv, *more]


def set_up_network():
    """The one interface of a new namespace begins switched off. Slurm resolves no name where the only address is 127.0.0.1;
    Open MPI allows an interface one address."""
    set_flags, set_address, up, running = 0x8914, 0x8916, 0x1, 0x40  # linux/sockios.h, linux/if.h
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sh22x", b"lo", up | running))
        address = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton("127.0.0.2"))
        fcntl.ioctl(any_socket, set_address, struct.pack("16s16s8x", b"lo", address))


def enter_namespace():
    """Starts this program again inside namespaces whose end is the end of every daemon and mount. Skips the test where
    that is not allowed."""
    if os.environ.get(INSIDE):
        # The first process of a PID namespace ignores what it has no handler for; this one cleans up first.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        set_up_network()
        return
    check_that_it_can_be_started()
    command = in_namespace()
    os.execvp(command[0], command)


def enter_namespaces(names):
    """Starts this program once for each name, its last argument, each inside namespaces of its own: a cluster for each, side
    by side, since most of the time is spent on waiting for Slurm. Returns in those alone."""
    if os.environ.get(INSIDE):
        enter_namespace()
        return
    check_that_it_can_be_started()
    runs = [subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *in_namespace(name)], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True) for name in names]
    for name, run in zip(names, runs):
        print(f"{name}\n{run.communicate()[0]}", flush=True)
    sys.exit(max(run.returncode for run in runs))


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_for(condition, seconds, what):
    """The first true value of condition(), which is asked again and again."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.2)
    return value


class Cluster:
    """Use as a context manager. `folder` is where jobs and data may live too: all nodes see it."""

    def __enter__(self):
        # Not under /tmp, which every node has for itself.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cola-slurm-", dir="/var/tmp"))
        self.daemons = {}
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for daemon in reversed(list(self.daemons.values())):
            daemon.kill()
            daemon.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def name_nodes(self):
        """Gives the nodes' names an address, in this namespace alone, as they have one on a cluster: where a node is lost,
        newer versions of Slurm look them up, whatever NodeAddr says."""
        hosts = self.folder / "hosts"
        hosts.write_text(pathlib.Path("/etc/hosts").read_text() + f"\n127.0.0.1 {' '.join(NODES)}\n")
        hosts.chmod(0o644)
        self.call("mount", "--bind", hosts, "/etc/hosts")

    def start(self):
        self.name_nodes()
        controller, *ports = free_ports(1 + len(NODES))
        nodes = [f"NodeName={name} NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1 Port={port} CPUs=2"
                 for name, port in zip(NODES, ports)]
        configuration = self.folder / "slurm.conf"
        configuration.write_text(SLURM_CONF.format(
            host=socket.gethostname(), port=controller, folder=self.folder, nodes="\n".join(nodes)))
        os.environ["SLURM_CONF"] = str(configuration)
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        self.folder.chmod(0o755)
        self.start_daemon("munged", "munged", "--foreground", "--force", f"--socket={self.folder}/munge.socket",
                          f"--key-file={key}", f"--pid-file={self.folder}/munged.pid",
                          f"--log-file={self.folder}/munged.log", f"--seed-file={self.folder}/munged.seed")
        wait_for((self.folder / "munge.socket").exists, 20, "munged")
        (self.folder / "state").mkdir()
        self.start_controller()
        for name in NODES:
            self.start_node(name)
        wait_for(lambda: self.node_states() == ["idle", "idle"], 60, "both nodes to be idle")

    def start_daemon(self, name, *command):
        with open(self.folder / f"{name}.out", "ab") as output:
            self.daemons[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                                  cwd=self.folder)

    def start_controller(self):
        self.start_daemon("slurmctld", "slurmctld", "-D", "-i")

    def stop_controller(self):
        """In good order, as for an update: it saves what it knows of jobs."""
        self.daemons["slurmctld"].terminate()
        self.daemons["slurmctld"].wait()

    def start_node(self, name):
        """Starts a node as after a reboot: what lay in its spool folder is gone."""
        shutil.rmtree(self.folder / f"spool-{name}", ignore_errors=True)
        script = f"mount -t tmpfs tmpfs /tmp && mount -t tmpfs tmpfs /dev/shm && hostname {name} && exec slurmd -D -N {name}"
        self.start_daemon(name, "unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc",
                          "bash", "-c", script)

    def kill_node(self, name):
        """As a power cut would: every process of the node is gone at once."""
        self.daemons[name].kill()
        self.daemons[name].wait()

    def call(self, *words, check=True, environment=None):
        """What the command says; `environment` holds variables to add."""
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60,
                              env=os.environ | (environment or {}))
        if check and done.returncode != 0:
            raise RuntimeError(f"{words} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout.strip()

    def node_states(self):
        return self.call("sinfo", "-h", "-N", "-o", "%t", check=False).split()

    def submit(self, *words, environment=None):
        """The job's number."""
        return self.call("sbatch", "--parsable", f"--chdir={self.folder}", *words, environment=environment).split(";")[0]

    def job(self, number):
        """The job's fields, as `scontrol show job` names them."""
        shown = self.call("scontrol", "--oneliner", "show", "job", number)
        return dict(word.split("=", 1) for word in shown.split() if "=" in word)

    def wait_for_state(self, number, wanted, seconds):
        """Waits until the job is in this state; fails as soon as it has ended in another one."""
        def reached():
            state = self.job(number)["JobState"]
            if state in ENDED and state != wanted:
                raise RuntimeError(f"job {number} is {state} instead of {wanted}")
            return state == wanted
        wait_for(reached, seconds, f"job {number} to be {wanted}")

# Sourced by packaging/test-appliance; not a program of its own.
# Owns: root file systems of bare Debian, and booting one with a real systemd as process 1, in a container of this kernel or in a
# whole emulated arm64 machine. Needs root.
# shellcheck shell=bash disable=SC2154

# Root file systems and kernels are kept here, so that the second run needs no network but for new packages.
machine_cache=${LOGBOOM_MACHINES:-/var/cache/logboom-machines}
# Beside the minimum: what a Debian installation has too (dbus, procps, iproute2), and what the checks are made with.
machine_packages=systemd,systemd-sysv,dbus,procps,iproute2,init-system-helpers,curl,python3,ca-certificates
machine_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# machine_root SUITE ARCHITECTURE: makes the root file system once, and sets $machine_tar.
machine_root() {
    local suite=$1 architecture=$2
    machine_tar=$machine_cache/$suite-$architecture.tar
    mkdir -p "$machine_cache"
    if [ "$architecture" = arm64 ]; then
        # Its packages' scripts run here by qemu-user, which the kernel has to know for that.
        [ -e /proc/sys/fs/binfmt_misc/register ] || mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
        [ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ] ||
            cat /usr/lib/binfmt.d/qemu-aarch64.conf >/proc/sys/fs/binfmt_misc/register
    fi
    if [ -s "$machine_tar" ] && [ "$(cat "$machine_tar.packages" 2>/dev/null)" = "$machine_packages" ]; then
        return
    fi
    run_quietly "bare Debian $suite, $architecture" mmdebstrap -q --format=tar --architectures="$architecture" \
        --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' --skip=cleanup/apt/lists \
        --include="$machine_packages" "$suite" "$machine_tar.new" \
        "deb [signed-by=$machine_keyring] $(debian_mirror) $suite main"
    mv "$machine_tar.new" "$machine_tar"
    printf '%s\n' "$machine_packages" >"$machine_tar.packages"
}

# machine_kernel KIND: Debian 13's arm64 kernel (arm64-16k, as a Pi 5 has it; cloud-arm64 with 4 KiB pages), and an initrd of
# busybox with the few modules that mounting the disk needs. Sets $machine_kernel_folder.
machine_kernel() {
    local kind=$1 made=$2 modules version module number=10 path
    machine_kernel_folder=$machine_cache/kernel-$kind
    [ ! -s "$machine_kernel_folder/initrd" ] || return 0
    run_quietly "kernel $kind" mmdebstrap -q --architectures=arm64 --variant=extract \
        --include="linux-image-$kind,busybox-static,kmod" trixie "$made/kernel" \
        "deb [signed-by=$machine_keyring] $(debian_mirror) trixie main"
    modules=$made/kernel/usr/lib/modules
    version=$(ls "$modules")
    mkdir -p "$machine_kernel_folder" "$made/initrd"/{bin,dev,mnt,modules}
    cp "$made/kernel/usr/bin/busybox" "$made/initrd/bin/"
    [ -e "$made/kernel/lib" ] || ln -s usr/lib "$made/kernel/lib"
    depmod -b "$made/kernel" "$version"
    for module in virtio_pci virtio_blk crc32c crc32c_generic ext4; do
        modprobe -d "$made/kernel" -S "$version" --show-depends "$module" 2>/dev/null |
            sed -n 's/^insmod \([^ ]*\).*/\1/p' || true
    done | awk '!seen[$0]++' >"$made/modules"
    while read -r path; do
        number=$((number + 1))
        xz -dc "$path" >"$made/initrd/modules/$number-$(basename "$path" .xz)"
    done <"$made/modules"
    cat >"$made/initrd/init" <<'I'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev
for module in /modules/*; do $b insmod "$module" 2>/dev/null; done
count=0
while [ ! -b /dev/vda ] && [ $count -lt 100 ]; do $b sleep 0.1; count=$((count + 1)); done
$b mount -t ext4 /dev/vda /mnt
$b umount /dev
exec $b switch_root /mnt /sbin/init
I
    chmod +x "$made/initrd/init"
    cp "$made"/kernel/boot/vmlinuz-* "$machine_kernel_folder/vmlinuz"
    (cd "$made/initrd" && find . | cpio -o -H newc --quiet | gzip -1) >"$machine_kernel_folder/initrd.new"
    mv "$machine_kernel_folder/initrd.new" "$machine_kernel_folder/initrd"
    rm -rf "$made/kernel" "$made/initrd"
}

# machine_prepare ROOT: a name, no waiting for consoles and timers, and a unit that runs /t/inside at the end of the boot.
machine_prepare() {
    local made=$1 unit
    mkdir -p "$made/t" "$made/etc/systemd/system/graphical.target.wants" "$made/var/log/journal"
    echo appliance >"$made/etc/hostname"
    : >"$made/etc/machine-id"
    printf '127.0.0.1 localhost appliance\n::1 localhost\n' >"$made/etc/hosts"
    cat >"$made/etc/systemd/system/appliance-test.service" <<'U'
[Unit]
Description=Checks of packaging/test-appliance
After=multi-user.target dbus.socket systemd-journald.service
[Service]
Type=oneshot
TimeoutStartSec=3600
Environment=PATH=/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=/bin/bash -c '/t/inside >>/t/result 2>&1; cat /t/result >/dev/console'
ExecStopPost=/bin/bash -c '[ -e /t/reboot ] || /bin/systemctl --no-block poweroff'
U
    ln -sf ../appliance-test.service "$made/etc/systemd/system/graphical.target.wants/"
    for unit in getty@tty1.service console-getty.service serial-getty@ttyS0.service serial-getty@ttyAMA0.service \
        apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer man-db.timer \
        systemd-modules-load.service; do
        ln -sf /dev/null "$made/etc/systemd/system/$unit"
    done
}

# machine_fetch ROOT ARCHITECTURE PACKAGE...: puts packages with what they depend on into ROOT/t/archives, by this machine's apt
# on the lists and the state of ROOT: quick for arm64 too, and inside nothing is taken from the network.
machine_fetch() {
    local made=$1 architecture=$2
    shift 2
    mkdir -p "$made/t/archives/partial"
    apt-get -q -o Dir="$made" -o Dir::State::status="$made/var/lib/dpkg/status" -o Dir::Cache::archives="$made/t/archives" \
        -o APT::Architecture="$architecture" -o APT::Architectures="$architecture" -o APT::Sandbox::User=root \
        -o Dir::Bin::dpkg=/usr/bin/dpkg install -y --no-install-recommends --download-only "$@"
}

machine_pid=
machine_group=logboom$$
# machine_boot_container ROOT CONSOLE: systemd of ROOT as process 1 of a container, without a network. Sets $machine_pid.
machine_boot_container() {
    local hierarchy
    for hierarchy in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
        [ ! -d "$hierarchy" ] || mkdir -p "$hierarchy/$machine_group"
    done
    (
        # A control group of its own, where this machine has the old hierarchies: it is the container's root.
        for hierarchy in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
            [ ! -d "$hierarchy/$machine_group" ] || echo 0 >"$hierarchy/$machine_group/cgroup.procs"
        done
        exec systemd-nspawn -q -D "$1" --register=no --keep-unit --private-network --machine="$machine_group" \
            --console=pipe -b
    ) </dev/null >>"$2" 2>&1 &
    machine_pid=$!
}

# machine_boot_emulated DISK KERNEL MEMORY CONSOLE: a machine with a Cortex-A76, as a Pi 5 has. Sets $machine_pid.
machine_boot_emulated() {
    qemu-system-aarch64 -M virt -cpu cortex-a76 -accel tcg,thread=multi -m "$3" -smp 2 -nographic -no-reboot -nic none \
        -kernel "$2/vmlinuz" -initrd "$2/initrd" -drive "file=$1,if=virtio,format=raw,cache=unsafe" \
        -append "console=ttyAMA0 root=/dev/vda rw panic=-1 quiet systemd.show_status=0" </dev/null >>"$4" 2>&1 &
    machine_pid=$!
}

# machine_wait SECONDS: until it has powered off; fails when it has not by then.
machine_wait() {
    local limit=$((SECONDS + $1))
    while kill -0 "$machine_pid" 2>/dev/null; do
        [ "$SECONDS" -lt "$limit" ] || return 1
        sleep 0.5
    done
    machine_status=0
    wait "$machine_pid" || machine_status=$?
    machine_pid=
}

# machine_stop: ends it the hard way, and takes away the control groups.
machine_stop() {
    local hierarchy
    if [ -n "$machine_pid" ]; then
        kill "$machine_pid" 2>/dev/null || true
        sleep 1
        kill -KILL "$machine_pid" 2>/dev/null || true
        wait "$machine_pid" 2>/dev/null || true
        machine_pid=
    fi
    for hierarchy in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
        [ ! -d "$hierarchy/$machine_group" ] ||
            find "$hierarchy/$machine_group" -depth -type d -exec rmdir {} \; 2>/dev/null || true
    done
}

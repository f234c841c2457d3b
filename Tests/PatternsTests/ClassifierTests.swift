import LogModel
import Patterns
import Testing

private let classifier = Classifier()

/// The classification of a line as the daemon would see it: by its template.
private func classify(_ line: String, _ source: String = "", style: PlaceholderStyle = .angle) -> Classification {
    let masked = template(of: Array(line.utf8), style: style)
    return masked.withUnsafeBufferPointer { template in
        Array(source.utf8).withUnsafeBufferPointer { classifier.classify(template: template, source: $0) }
    }
}

/// A line of a household's Pi, and what it is about.
struct ClassifiedLine: Sendable, CustomTestStringConvertible {
    let source: String
    let text: String
    let category: Classification.Category
    let tags: Classification.Tags

    init(
        _ source: String,
        _ text: String,
        _ category: Classification.Category,
        _ tags: Classification.Tags = []
    ) {
        self.source = source
        self.text = text
        self.category = category
        self.tags = tags
    }

    var testDescription: String { text }

    static let all: [ClassifiedLine] = [
        .init("kernel", "hwmon hwmon1: Undervoltage detected!", .power, .underVoltage),
        .init("kernel", "Under-voltage detected! (0x00050005)", .power, .underVoltage),
        .init("kernel", "hwmon hwmon1: Voltage normalised", .power),
        .init("rpi-monitor", "throttled=0x50005 frequency capped", .power, .throttled),
        .init("upsmon", "UPS apc@localhost battery is low", .power, .batteryLow),
        .init("zigbee2mqtt", "Device motion_hall reports low battery: 4%", .power, .batteryLow),
        .init(
            "kernel",
            "thermal thermal_zone0: critical temperature reached (85 C), shutting down",
            .hardware,
            .overheating
        ),
        .init("kernel", "mmc0: error -110 whilst initialising SD card", .storage, .ioError),
        .init("kernel", "mmc0: Timeout waiting for hardware interrupt.", .storage, [.timeout, .ioError]),
        .init("kernel", "mmc0: card stuck being busy! __mmc_poll_for_busy", .storage, .ioError),
        .init("kernel", "blk_update_request: I/O error, dev mmcblk0, sector 1234567 op 0x0:(READ)", .storage, .ioError),
        .init("kernel", "Buffer I/O error on dev sda1, logical block 2048, lost async page write", .storage, .ioError),
        .init(
            "kernel",
            "EXT4-fs error (device mmcblk0p2): ext4_find_entry:1455: inode #2: comm systemd: reading directory lblock 0",
            .storage,
            .filesystem
        ),
        .init("kernel", "EXT4-fs (mmcblk0p2): Remounting filesystem read-only", .storage, .readOnly),
        .init(
            "kernel",
            "FAT-fs (mmcblk0p1): Volume was not properly unmounted. Some data may be corrupt. Please run fsck.",
            .storage,
            .corruption
        ),
        .init(
            "influxd",
            "write failed: write /var/lib/influxdb/wal/1.wal: no space left on device",
            .storage,
            .diskFull
        ),
        .init("postgres", "could not extend file \"base/16384/24577\": No space left on device", .storage, .diskFull),
        .init("systemd-journald", "Failed to open system journal: Read-only file system", .storage, .readOnly),
        .init("smartd", "Device: /dev/sda [SAT], 8 Currently unreadable (pending) sectors", .storage, .ioError),
        .init(
            "kernel",
            "Out of memory: Killed process 812 (node-red) total-vm:1048576kB, anon-rss:524288kB",
            .process,
            .outOfMemory
        ),
        .init(
            "kernel",
            "python3 invoked oom-killer: gfp_mask=0x1100cca, order=0, oom_score_adj=0",
            .process,
            .outOfMemory
        ),
        .init(
            "node-red",
            "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
            .process,
            .outOfMemory
        ),
        .init(
            "kernel",
            "logger[812]: segfault at 0 ip 00007f1c2d3e sp 00007ffd1c2b error 4 in libc.so.6",
            .process,
            .crash
        ),
        .init("systemd", "bridge.service: Main process exited, code=killed, status=11/SEGV", .process, .crash),
        .init("systemd-coredump", "Process 4711 (bridge) of user 1000 dumped core.", .process, .crash),
        .init("kernel", "Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b", .process, .crash),
        .init("app", "Traceback (most recent call last):", .process, .crash),
        .init("kernel", "INFO: task jbd2/mmcblk0p2:123 blocked for more than 120 seconds.", .process, .locked),
        .init("systemd", "node-red.service: Failed with result 'exit-code'.", .process, .failedStart),
        .init("systemd", "Failed to start mosquitto.service - Mosquitto MQTT Broker.", .process, .failedStart),
        .init(
            "systemd",
            "zigbee2mqtt.service: Scheduled restart job, restart counter is at 57.",
            .process,
            .restartLoop
        ),
        .init("systemd", "bridge.service: Start request repeated too quickly.", .process, .restartLoop),
        .init("sshd", "Failed password for root from 203.0.113.9 port 51234 ssh2", .auth, .failedLogin),
        .init("sshd", "Invalid user admin from 203.0.113.9 port 40022", .auth, .failedLogin),
        .init(
            "sshd",
            "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.9",
            .auth,
            .failedLogin
        ),
        .init("sshd", "Accepted publickey for pi from 192.168.1.20 port 51022 ssh2: ED25519 SHA256:abc", .auth),
        .init("sudo", "pi : TTY=pts/0 ; PWD=/home/pi ; USER=root ; COMMAND=/usr/bin/apt update", .auth, .privilege),
        .init("systemd-logind", "New session 42 of user pi.", .auth),
        .init("fail2ban.actions", "NOTICE [sshd] Ban 203.0.113.9", .auth),
        .init(
            "homeassistant",
            "Login attempt or request with invalid authentication from 192.168.1.77",
            .auth,
            .failedLogin
        ),
        .init(
            "kernel",
            "[UFW BLOCK] IN=eth0 OUT= MAC=d8:3a:dd SRC=198.51.100.7 DST=192.168.1.5 LEN=40 PROTO=TCP DPT=23",
            .network,
            .blocked
        ),
        .init(
            "caddy",
            "tls: failed to verify certificate: x509: certificate has expired or is not yet valid",
            .web,
            .certificate
        ),
        .init("node-red", "Error: self-signed certificate in certificate chain", .application, .certificate),
        .init("certbot", "Failed to renew certificate home.example.org with error: timed out", .application, .timeout),
        .init("kernel", "macb 1f00100000.ethernet eth0: Link is Down", .network, .linkDown),
        .init("kernel", "macb 1f00100000.ethernet eth0: Link is Up - 1Gbps/Full - flow control tx", .network),
        .init("dhcpcd", "eth0: carrier lost", .network, .linkDown),
        .init(
            "wpa_supplicant",
            "wlan0: CTRL-EVENT-DISCONNECTED bssid=aa:bb:cc:dd:ee:ff reason=3 locally_generated=1",
            .network,
            [.wireless, .connectionLost]
        ),
        .init(
            "NetworkManager",
            "<info> device (wlan0): state change: activated -> failed (reason 'ssid-not-found')",
            .network,
            .wireless
        ),
        .init(
            "systemd-resolved",
            "Server returned error NXDOMAIN, mitigating potential DNS violation",
            .network,
            .nameResolution
        ),
        .init("curl", "Could not resolve host: api.example.org", .network, .nameResolution),
        .init("ping", "connect: Network is unreachable", .network, .unreachable),
        .init(
            "node-red",
            "[mqtt-broker:home] Connection failed to broker: connect ECONNREFUSED 127.0.0.1:1883",
            .mqtt,
            .connectionRefused
        ),
        .init("mosquitto", "Client zigbee2mqtt has exceeded timeout, disconnecting.", .mqtt, .connectionLost),
        .init("mosquitto", "New client connected from 192.168.1.44:51234 as esp32-12 (p2, c1, k15).", .mqtt),
        .init("mosquitto", "Socket error on client sonoff-3, disconnecting.", .mqtt, .connectionLost),
        .init("zigbee2mqtt", "MQTT publish: topic 'zigbee2mqtt/lamp'", .mqtt),
        .init("zigbee2mqtt", "Failed to interview device 0x00158d0001a2b3c4", .automation),
        .init("homeassistant", "Setup of integration hue is taking over 10 seconds.", .automation),
        .init("postgres", "ERROR:  deadlock detected", .database, .locked),
        .init("postgres", "checkpoint complete: wrote 42 buffers (0.3%); 0 WAL file(s) added", .database),
        .init("app", "sqlite3.OperationalError: database is locked", .database, .locked),
        .init("app", "SQLITE_CORRUPT: database disk image is malformed", .database, .corruption),
        .init("postgres", "FATAL:  password authentication failed for user \"grafana\"", .auth, .failedLogin),
        .init("chronyd", "System clock wrong by 1234.567890 seconds", .time, .clock),
        .init("systemd-timesyncd", "Initial clock synchronization to Sat 2026-03-01 12:00:00 UTC.", .time),
        .init(
            "dockerd",
            "Container 9f4ef63a failed to exit within 10 seconds of signal 15 - using the force",
            .container
        ),
        .init("kubelet", "Back-off restarting failed container web in pod web-0", .container, .restartLoop),
        .init("unattended-upgrade", "Packages that will be upgraded: openssl libssl3", .update, .update),
        .init("apt", "E: Failed to fetch http://deb.debian.org/debian/pool/x.deb  404 Not Found", .update),
        .init(
            "nginx",
            "connect() failed (111: Connection refused) while connecting to upstream, client: 192.168.1.2",
            .web,
            .connectionRefused
        ),
        .init("nginx", "192.168.1.2 - - \"GET /api/states HTTP/1.1\" 200 1534", .web),
        .init("kernel", "usb 1-1.3: device descriptor read/64, error -71", .hardware, [.usb, .ioError]),
        .init("kernel", "usb usb1-port2: over-current change #3", .hardware, .usb),
        .init("kernel", "usb 1-1.2: new high-speed USB device number 7 using xhci_hcd", .hardware, .usb),
        .init("kernel", "i2c-bcm2835 fe804000.i2c: i2c transfer timed out", .hardware, .timeout),
        .init("kernel", "Booting Linux on physical CPU 0x0000000000 [0x414fd0b1]", .boot, .powerCycle),
        .init("systemd", "Startup finished in 2.345s (kernel) + 12.345s (userspace) = 14.690s.", .boot, .powerCycle),
        .init("systemd", "Reached target multi-user.target - Multi-User System.", .boot, .powerCycle),
        .init("systemd-logind", "System is rebooting.", .boot, .powerCycle),
        .init("bridge", "open /dev/ttyUSB0: permission denied", .application, .permissionDenied),
        .init("nginx", "unknown directive \"servr\" in /etc/nginx/nginx.conf:12", .web, .configuration),
    ]
}

@Suite struct ClassifierTests {
    @Test(arguments: ClassifiedLine.all)
    func `a line of a household is put where it belongs`(line: ClassifiedLine) {
        let found = classify(line.text, line.source)
        #expect(found.category == line.category, "\(template(of: line.text)) by \(line.source)")
        #expect(found.tags.isSuperset(of: line.tags), "\(names(found.tags)) of \(template(of: line.text))")
    }

    @Test func `there are enough lines to mean something`() {
        #expect(ClassifiedLine.all.count >= 60)
        let categories = Set(ClassifiedLine.all.map(\.category))
        #expect(categories.count == Classification.Category.allCases.count)
    }

    @Test(arguments: [
        ("kernel", "macb 1f00100000.ethernet eth0: Link is Up - 1Gbps/Full"), ("app", "User 123 logged in"),
        ("app", "Query took 0.05s"), ("app", "request timeout set to 30 seconds"), ("app", "0 errors, 3 warnings"),
        ("nginx", "certificate loaded from /etc/ssl/x.pem"), ("sshd", "Server listening on 0.0.0.0 port 22."),
        ("passwd", "password changed for pi"), ("app", "memory usage 412 MB of 8 GB"), ("app", "disk usage at 40%"),
        ("kernel", "usb 1-1.2: new high-speed USB device number 7 using xhci_hcd"),
        ("mosquitto", "New client connected from 192.168.1.44:51234 as esp32 (p2, c1, k15)."),
        ("postgres", "database system is ready to accept connections"),
        ("systemd", "Started mosquitto.service - Mosquitto."),
        ("systemd", "apt-daily.service: Deactivated successfully."), ("chronyd", "Selected source 192.53.103.108"),
        ("zigbee2mqtt", "Device lamp joined"), ("homeassistant", "Starting Home Assistant core"),
        ("dockerd", "Loading containers: done."), ("app", "connection to 10.0.0.1 established in 12 ms"),
        ("app", "retry budget 3, lock acquired, cache read only once"), ("app", "blocked users: none"),
        ("kernel", "EXT4-fs (mmcblk0p2): mounted filesystem with ordered data mode."),
        ("sudo", "pam_unix(sudo:session): session opened for user root(uid=0) by pi(uid=1000)"),
        ("rpi", "temperature 48.3 C, throttle state none"), ("cron", "(root) CMD (/usr/local/bin/backup.sh)"),
        ("backup", "backup finished, 12 files, 3 skipped"), ("app", "The battery is full and the voltage fine"),
    ])
    func `an innocent line raises no alarm`(source: String, text: String) {
        let found = classify(text, source)
        #expect(found.tags.isDisjoint(with: .problems), "\(names(found.tags)) of \(template(of: text))")
    }

    @Test func `what nobody knows is the application's own`() {
        #expect(classify("") == Classification(category: .application, tags: []))
        #expect(classify("frobnicated 12 widgets", "frob").category == .application)
        #expect(classify("温度 21 ü\u{0}\u{7f}").category == .application)
    }

    @Test func `the name of a placeholder is no word of the text`() {
        #expect(classify("went to <EMAIL> at <URL>, <TIME>").category == .application)
        #expect(classify("went to {MAC} {TIME}", style: .braces).category == .application)
        #expect(classify("Link eth0 is down") == classify("Link wlan1 down"))
    }

    @Test func `a word said often is no stronger than said once`() {
        let line = "mqtt " + String(repeating: "query ", count: 50) + "mosquitto topic: postgres failed"
        #expect(classify(line) == classify("mqtt query mosquitto topic: postgres failed"))
    }

    @Test func `any bytes have a classification`() {
        var bytes: [UInt8] = []
        for index in 0..<5_000 { bytes.append(UInt8(truncatingIfNeeded: index &* 37 ^ index >> 3)) }
        bytes.withUnsafeBufferPointer { all in
            for start in stride(from: 0, to: 4_900, by: 7) {
                _ = classifier.classify(
                    template: UnsafeBufferPointer(rebasing: all[start..<start + 90]),
                    source: UnsafeBufferPointer(rebasing: all[..<(start % 40)])
                )
            }
            _ = classifier.classify(template: all, source: all)
        }
    }

    @Test func `every category and every tag has a name of its own`() {
        let categories = Classification.Category.allCases.map { "\($0.name)" }
        #expect(Set(categories).count == categories.count)
        #expect(categories.count <= 16)
        let tags = Classification.Tags.names
        #expect(Set(tags.map { "\($0.name)" }).count == tags.count)
        #expect(tags.count <= 32)
        for (bit, tag) in tags.enumerated() { #expect(tag.tag.rawValue == 1 << UInt32(bit)) }
    }

    private func names(_ tags: Classification.Tags) -> String {
        Classification.Tags.names.filter { tags.contains($0.tag) }.map { "\($0.name)" }.joined(separator: " ")
    }
}

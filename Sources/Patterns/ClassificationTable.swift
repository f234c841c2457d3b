internal import LogModel

/// One line of the table: phrases of one or two words, parted by `|`, that mean the same.
struct ClassificationRule: Sendable {
    let phrases: StaticString
    /// `nil`: the phrase says what went wrong, not where.
    let category: Classification.Category?
    /// 4 decides, 2 is typical, 1 is a hint that needs another.
    let weight: Int
    let tags: Classification.Tags

    init(
        _ phrases: StaticString,
        _ category: Classification.Category?,
        _ weight: Int = 0,
        _ tags: Classification.Tags = []
    ) {
        self.phrases = phrases
        self.category = category
        self.weight = weight
        self.tags = tags
    }
}

/// What words say about a pattern. The words are those of the programs a Raspberry Pi runs, as their sources and manuals
/// have them: kernel, systemd, OpenSSH, PAM, NetworkManager, wpa_supplicant, PostgreSQL, SQLite, Mosquitto, Docker, apt,
/// nginx, chrony, Home Assistant, Zigbee2MQTT, Node-RED.
///
/// A tag that is a problem stands only with a phrase that says so: `timeout` is a setting, `timed out` is a problem;
/// `link up`, `certificate loaded` and `0 errors` raise nothing.
enum ClassificationTable {
    /// Passed over between the words of a phrase. `not` and `no` turn a phrase round, so they are none.
    static let smallWords: StaticString =
        "is|was|are|were|be|been|has|have|had|the|a|an|of|for|to|on|at|by|in|from|with|its|this|that"

    static let phrases: [ClassificationRule] = [
        // MARK: Power (kernel: hwmon/raspberrypi-hwmon.c, vcgencmd get_throttled; NUT, apcupsd)
        .init("under voltage|undervoltage|low voltage|voltage detected", .power, 4, .underVoltage),
        .init("voltage normalised|voltage normalized", .power, 4),
        .init("throttled|throttling|frequency capped|capped", .power, 3, .throttled),
        .init(
            "critical temperature|temperature limit|over temperature|overheating|overheated|thermal shutdown|too hot",
            .hardware,
            4,
            .overheating
        ),
        .init("soft temperature", .power, 2, .overheating),
        .init("battery low|low battery|battery critical|battery exhausted|replace battery", .power, 4, .batteryLow),
        .init("power supply|power failure|mains|ups|battery|voltage|power lost|power restored", .power, 2),
        .init("power key|power button", .power, 2, .powerCycle),

        // MARK: Storage (kernel: mmc core, block layer, ext4, jbd2; smartd; fsck)
        .init("i o|io error|buffer i|medium error|read error|write error|blk update", .storage, 2, .ioError),
        .init("o error", .storage, 2, .ioError),
        .init("card stuck|error whilst|whilst initialising|waiting hardware", .storage, 3, .ioError),
        .init("sd card|mmc|mmcblk|emmc|sdhci|nvme|sda|sdb|smart|smartd|ata|scsi|raid|sector|sectors|zram", .storage, 2),
        .init(
            "ext4 fs|ext4|btrfs|fat fs|xfs|vfat|f2fs|jbd2|fsck|filesystem|filesystems|superblock|inode|inodes",
            .storage,
            2
        ),
        .init(
            "fs error|filesystem error|filesystem errors|bad superblock|journal aborted|aborting journal|mounting fs|unclean shutdown|not cleanly|orphan inode",
            .storage,
            4,
            .filesystem
        ),
        .init(
            "filesystem read|remounting read|remounted read|remount read|only file|only filesystem|erofs",
            .storage,
            3,
            .readOnly
        ),
        .init(
            "no space|space left|disk full|enospc|filesystem full|device full|disk space|quota exceeded|volume full|left device",
            .storage,
            4,
            .diskFull
        ),
        .init(
            "mount|mounted|mounting|unmounted|unmounting|umount|remount|remounting|partition|swap|disk|disks|volume",
            .storage,
            2
        ),
        .init(
            "pending sectors|uncorrectable sectors|unreadable sectors|reallocated sector|prefailure",
            .storage,
            4,
            .ioError
        ),

        // MARK: Logins and rights (OpenSSH: auth.c, auth2.c; Linux-PAM; sudo; polkit; fail2ban)
        .init(
            "failed password|authentication failure|authentication failed|login failed|failed login|invalid user|auth failed|invalid credentials|incorrect password|wrong password|login attempt|password attempts|failed publickey|unauthorized|not authorised|not authorized|auth fail|access denied|bad password|illegal user|authentication failures",
            .auth,
            4,
            .failedLogin
        ),
        .init(
            "password|accepted publickey|accepted password|publickey|login|logged|logout|pam|pam unix|session opened|session closed|new session|authenticated|authorized|credentials|token|oauth",
            .auth,
            2
        ),
        .init("user root|uid|preauth|passwd", .auth, 1),
        .init("sudo|command bin|command usr|su root|pwd", .auth, 3, .privilege),
        .init("permission denied|operation permitted|eacces|eperm|not permitted|forbidden", nil, 0, .permissionDenied),
        .init("banned|already banned", .auth, 4, .blocked),
        .init("ban|unban|jail|fail2ban|brute force", .auth, 3),
        .init("ufw block|firewall drop|iptables drop|ufw|nftables|iptables", .network, 3, .blocked),

        // MARK: Certificates (OpenSSL's and Go's error texts)
        .init(
            "certificate expired|certificate verify|verify failed|certificate invalid|invalid certificate|unknown ca|self signed|handshake failure|handshake failed|certificate signed|unknown authority|cert expired|bad certificate|certificate not",
            nil,
            0,
            .certificate
        ),
        .init("certificate|ssl|tls|x509|acme|certbot|letsencrypt", .web, 1),

        // MARK: Network (kernel: net; NetworkManager, dhcpcd, wpa_supplicant, systemd-resolved)
        .init("link down|carrier lost|lost carrier|link lost|interface down|cable unplugged", .network, 4, .linkDown),
        .init("link up|link ready|carrier acquired|gained carrier|becomes ready|full duplex", .network, 4),
        .init("connection refused|econnrefused|connect refused", .network, 1, .connectionRefused),
        .init(
            "connection reset|connection lost|lost connection|econnreset|broken pipe|epipe|socket hang|unexpectedly closed|closed unexpectedly|connection aborted|disconnected unexpectedly",
            .network,
            1,
            .connectionLost
        ),
        .init(
            "host unreachable|network unreachable|no route|ehostunreach|enetunreach|destination unreachable|not reachable|host down|unreachable",
            .network,
            2,
            .unreachable
        ),
        .init(
            "name resolution|resolve host|resolve hostname|enotfound|eai again|servfail|nxdomain|service known|getaddrinfo|no servers",
            .network,
            3,
            .nameResolution
        ),
        .init(
            "timed out|etimedout|timeout exceeded|deadline exceeded|timeout waiting|timeout expired|timeout error|timeout while|connection timeout",
            nil,
            0,
            .timeout
        ),
        .init(
            "dns|dhcp|dhcpv4|dhcpv6|dhcpcd|lease|dhcpack|dhcprequest|dhcpdiscover|dhcpoffer|router|gateway|subnet|arp|icmp|tcp|udp|vpn|wireguard|tailscale|ethernet|carrier|interface|avahi|mdns|bridge port|ipv4|ipv6|dnsmasq",
            .network,
            2
        ),
        .init("connection|connect|socket|port|network|peer|hostname|host|address", .network, 1),
        .init(
            "wlan|wifi|wi fi|wpa|wpa supplicant|ctrl event|ssid|bssid|brcmfmac|cfg80211|access point|4way handshake|ieee80211|associated|deauthenticated|deauthenticating|disassociated",
            .network,
            2,
            .wireless
        ),
        .init(
            "event disconnected|authentication timed|deauthenticated reason|pre shared",
            .network,
            2,
            [.wireless, .connectionLost]
        ),

        // MARK: MQTT (Mosquitto: src/handle_connect.c, loop.c; paho; mqtt.js)
        .init(
            "mqtt|mosquitto|broker|topic|topics|publish|published|publishing|subscribe|subscribed|subscription|retain|retained|qos|keepalive|last will",
            .mqtt,
            2
        ),
        .init("exceeded timeout|protocol error|socket error", .mqtt, 1, .connectionLost),

        // What a bridge says of its broker is about MQTT, whatever the bridge is for.
        .init("mqtt publish|mqtt server|mqtt connect|mqtt connection", .mqtt, 4),

        // MARK: Databases (PostgreSQL: elog texts; SQLite: sqlite3.c; InfluxDB, MariaDB)
        .init(
            "postgres|postgresql|sqlite|sqlite3|mariadb|mysql|mysqld|influxdb|redis|mongodb|database|databases|sql|query|relation|checkpoint|autovacuum|vacuum|wal|replication|tsm|tsdb|deadlock|duplicate key|foreign key|unique constraint",
            .database,
            2
        ),
        .init("statement|constraint|column|transaction|rows|tuple|table|schema|shard|compaction", .database, 1),
        .init(
            "database locked|table locked|deadlock detected|lock timeout|lock wait|not obtain|resource locked|sqlite busy",
            .database,
            3,
            .locked
        ),
        // `SQLITE_CORRUPT: database disk image is malformed`: the image is a file of SQLite, not a disk.
        .init("database disk|sqlite corrupt", .database, 3, .corruption),
        .init(
            "image malformed|malformed database|invalid page|page checksum|checksum mismatch|checksum error|corrupted|corrupt|corruption|database corrupt|crc error|bad crc",
            nil,
            0,
            .corruption
        ),
        .init("too many|remaining connection|connection slots", .database, 1),

        // MARK: Time (chrony, systemd-timesyncd, ntpd, kernel timekeeping)
        .init(
            "clock wrong|clock jumped|time jumped|clock unsynchronized|clock unsynchronised|not synchronized|not synchronised|no selectable|clocksource unstable|time backwards|clock skew|step time|clock stepped|time changed|rtc lost|wrong time",
            .time,
            4,
            .clock
        ),
        .init(
            "ntp|chrony|chronyd|timesyncd|ntpd|clock|system clock|rtc|time server|time synchronization|time synchronisation|stratum|clocksource|hwclock|timezone|selected source",
            .time,
            2
        ),

        // MARK: Packages (apt, dpkg, unattended-upgrades, rpi-eeprom-update)
        .init(
            "apt|dpkg|unattended|unattended upgrade|unattended upgrades|upgrade|upgraded|upgrading|unpacking|packages|package|apt get|rpi eeprom|snapd|flatpak|pip|npm|repository|firmware update|software update",
            .update,
            2,
            .update
        ),
        .init(
            "fetch failed|failed fetch|hash sum|unmet dependencies|dpkg error|broken packages|release file",
            .update,
            4
        ),

        // MARK: Containers (containerd, dockerd, podman, Kubernetes)
        .init(
            "docker|dockerd|containerd|container|containers|podman|kubelet|k3s|pod|pods|image pull|runc|cgroup|overlay2|overlayfs|compose|namespace|veth|shim",
            .container,
            2
        ),
        .init(
            "crashloopbackoff|back off|backoff restarting|restarting failed|oomkilled|errimagepull|imagepullbackoff",
            .container,
            4,
            .restartLoop
        ),

        // MARK: Web (nginx, Apache, Caddy, lighttpd)
        .init(
            "http|https|nginx|apache|apache2|caddy|lighttpd|upstream|get|post|put|websocket|user agent|vhost|proxy|reverse proxy|cors|request|response|url|mozilla|webserver|html",
            .web,
            1
        ),
        .init(
            "bad gateway|gateway timeout|service unavailable|internal server|upstream prematurely|connecting upstream|reading response|status code",
            .web,
            2
        ),

        // MARK: Home automation (Home Assistant, Zigbee2MQTT, zwave-js, ESPHome, Node-RED)
        .init(
            "zigbee|z wave|zwave|zigbee2mqtt|homeassistant|home assistant|hass|esphome|node red|automation|automations|scene|flows|flow|lamp|thermostat|entity|coordinator|deconz|shelly|tasmota|interview|linkquality|zha|hue|homekit|modbus|knx|matter",
            .automation,
            2
        ),
        .init("device|sensor|switch|light|relay|pairing|integration", .automation, 1),
        .init(
            "failed interview|interview failed|delivery failed|mac no|no ack|entity unavailable|adapter disconnected|adapter error",
            .automation,
            3,
            .connectionLost
        ),

        // MARK: Hardware (kernel: usb, i2c, spi, thermal, hwmon, drm)
        .init(
            "usb|usb device|xhci|dwc2|hub|usb disconnect|new usb|high speed|full speed|low speed",
            .hardware,
            2,
            .usb
        ),
        .init(
            "error enumerating|unable enumerate|descriptor read|over current|overcurrent|babble|cannot enumerate|not accepting|device descriptor|cannot reset",
            .hardware,
            4,
            [.usb, .ioError]
        ),
        .init(
            "i2c|spi|gpio|uart|ttyusb|ttyama|pcie|hdmi|v4l2|camera|thermal|temperature|fan|hwmon|firmware|bluetooth|hci|rfkill|edid|watchdog|dma|irq|vc4|drm|sensors|eeprom|1 wire|ds18b20|onewire|unicam|alsa|serial port",
            .hardware,
            2
        ),
        .init(
            "hardware error|watchdog reset|watchdog reboot|nack received|lost arbitration|parity error|crc mismatch",
            .hardware,
            3,
            .ioError
        ),

        // MARK: Processes (kernel: mm/oom_kill.c, arch fault handlers; systemd)
        .init(
            "out memory|oom killer|oom kill|oom reaper|oom|killed process|cannot allocate|allocation failure|allocation failed|memory exhausted|outofmemoryerror|enomem|heap out|memory cgroup",
            .process,
            4,
            .outOfMemory
        ),
        .init(
            "segfault|segmentation fault|core dumped|dumped core|general protection|kernel panic|bus error|illegal instruction|stack smashing|double free|assertion failed|traceback most|panicked|unhandled exception|uncaught exception|fatal signal|kernel oops|oops|aborted core|trap invalid|sigsegv|sigabrt|kernel bug|null pointer|signal segv|signal abrt|terminated signal|program crashed|status segv|status abrt|stack trace",
            .process,
            4,
            .crash
        ),
        .init("hung task|blocked more|soft lockup|rcu stall|self detected|hard lockup", .process, 4, .locked),
        .init(
            "main process|process exited|exited code|code exited|code killed|exit code|signal|memory|process|pid|thread|killed|coredump",
            .process,
            1
        ),
        .init(
            "service failed|unit failed|failed start|failed state|failed result|result exit|entered failed|dependency failed|start failed|failed starting|start operation",
            .process,
            3,
            .failedStart
        ),
        .init(
            "restart counter|start request|repeated too|restarting too|scheduled restart|respawning too|too quickly",
            .process,
            4,
            .restartLoop
        ),
        .init(
            "unknown lvalue|invalid option|unknown option|syntax error|configuration error|config error|parse error|parsing error|invalid configuration|invalid config|bad configuration|unknown directive|missing required|yaml error|unknown key|configuration invalid|config invalid",
            nil,
            0,
            .configuration
        ),

        // MARK: Coming up and going down (systemd, kernel init, bootloader)
        .init(
            "booting linux|linux version|command line|startup finished|reached target|starting kernel|kernel command|run init|machine model|system boot|boot|booting|booted|initramfs|early boot|bootloader|u boot",
            .boot,
            3,
            .powerCycle
        ),
        .init(
            "rebooting|reboot|shutting down|powering off|power off|poweroff|system halted|system shutdown|reboot requested|shutdown target|going down",
            .boot,
            3,
            .powerCycle
        ),
        .init("started|stopped|starting|stopping|finished|deactivated|listening|created slice|systemd", .boot, 1),
    ]

    /// Names of programs and units, by their words: `systemd-logind.service`, `postgresql@15-main`.
    static let sources: [ClassificationRule] = [
        .init(
            "sshd|ssh|sudo|su|login|logind|polkitd|polkit|pam|gdm|lightdm|fail2ban|dropbear|keycloak|authelia",
            .auth,
            3
        ),
        .init(
            "networkmanager|networkd|dhcpcd|dhcpd|dnsmasq|resolved|wpa|supplicant|hostapd|avahi|iwd|wireguard|tailscaled|openvpn|ufw|pihole|ftl|unbound|named|ifup|connmand|modemmanager|adguardhome|firewalld",
            .network,
            3
        ),
        .init("mosquitto|emqx|vernemq|nanomq", .mqtt, 3),
        .init(
            "postgres|postgresql|mysqld|mariadbd|mariadb|mysql|influxd|influxdb|redis|mongod|sqlite|victoriametrics|timescaledb",
            .database,
            3
        ),
        .init("docker|dockerd|containerd|podman|kubelet|k3s|runc|portainer|crio", .container, 3),
        .init("nginx|apache2|httpd|caddy|lighttpd|traefik|haproxy|grafana|php|gunicorn|uwsgi", .web, 3),
        .init("chronyd|chrony|timesyncd|ntpd|ntpsec|hwclock", .time, 3),
        .init("apt|dpkg|unattended|packagekitd|packagekit|snapd|fwupd|eeprom", .update, 3),
        .init(
            "smartd|udisksd|udisks2|mdadm|fsck|fstrim|samba|smbd|nmbd|nfsd|restic|borg|rsync|mount|zed|logrotate",
            .storage,
            3
        ),
        .init(
            "zigbee2mqtt|homeassistant|hass|esphome|nodered|zwave|zwavejs|deconz|openhab|domoticz|homebridge|tasmota|hassio|fhem|iobroker",
            .automation,
            3
        ),
        .init("bluetoothd|udevd|udev|pigpiod|upowerd|thermald|alsa|pulseaudio|pipewire|gpiod", .hardware, 3),
        .init("upsd|upsmon|apcupsd|nut|rpi", .power, 2),
        .init("systemd|init|plymouth", .boot, 1),
        .init("coredump|earlyoom|oomd", .process, 3),
        .init("kernel", .hardware, 1),
    ]

    /// The phrases of a rule: its text parted at `|`.
    static func phrases(in text: StaticString) -> [ArraySlice<UInt8>] {
        Array(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)).split(
            separator: UInt8(ascii: "|")
        )
    }
}

//! The manual pages in Russian: what daemon.rs, configuration.rs and the help of the command line say in English.
//!
//! Tests hold that no command and no argument is without a text, and that terms and examples are those of the English pages.

use super::Block::{Example, Item, Text};
use super::{Block, Part, example};

pub(super) const DAEMON: &[Block] = &[
    Text(
        "Отвечает на анонсы и scrape по HTTP и UDP и выдаёт сначала пиров из той же сети. Рои хранятся в памяти, а перезапуск переживают в \
         базе данных. На порту HTTP есть также страницы для людей, метрики и API.",
    ),
    Text(
        "Без команды трекер работает на переднем плане, пока его не остановят. Файл настроек не обязателен; все ключи описаны в \
         `retracker.ini`(5).",
    ),
];

pub(super) const DAEMON_PARTS: &[Part] = &[
    (
        "ОКРУЖЕНИЕ",
        &[
            Item(
                "RETRACKER_РАЗДЕЛ_КЛЮЧ",
                "Заменяет значение ключа настроек; см. `retracker.ini`(5).",
            ),
            Item(
                "RUST_LOG",
                "Что команды пишут в стандартный поток ошибок; если не задана — предупреждения. Сам трекер следует своим настройкам.",
            ),
        ],
    ),
    (
        "ФАЙЛЫ",
        &[
            Item("/etc/retracker/config.ini", "Настройки службы."),
            Item(
                "/var/lib/retracker/snapshots/retracker.sqlite",
                "База данных службы. Вне службы это snapshots/retracker.sqlite в рабочем каталоге.\n\
                 Рядом с ней — файлы, которые может читать только владелец: retracker.key подписывает cookie сеансов, \
                 retracker.password — хеш созданного трекером пароля, retracker.tokens — хеши токенов API, из retracker.udp-key \
                 получаются идентификаторы соединений UDP. Файл ИМЯ.corrupt-ВРЕМЯ — база, отложенная из-за повреждения.",
            ),
            Item(
                "/var/log/retracker",
                "Каталог для `log_file`; если этот ключ не задан, журнал идёт в стандартный поток ошибок, а оттуда — в журнал systemd.",
            ),
        ],
    ),
    (
        "СИГНАЛЫ",
        &[
            Item(
                "SIGTERM, SIGINT, SIGQUIT",
                "Перестать принимать запросы, ответить на уже принятые, сделать последний снимок и завершиться. Второй сигнал ничего \
                 не меняет.",
            ),
            Item(
                "SIGHUP",
                "Перечитать настройки. Если в них ошибка, они отвергаются целиком и остаются прежние.",
            ),
            Item("SIGUSR1", "Открыть файл журнала заново, после ротации."),
            Item(
                "SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGXFSZ, SIGPIPE",
                "Ничего.",
            ),
        ],
    ),
    (
        "КОД ЗАВЕРШЕНИЯ",
        &[
            Item(
                "0",
                "Штатная остановка; команда сделала то, о чём её просили.",
            ),
            Item(
                "1",
                "Сбой: порт занят, база занята другим процессом, отказала одна из частей трекера. Какая — сказано в журнале.",
            ),
            Item("2", "Командную строку не удалось разобрать."),
            Item(
                "77",
                "Права доступа не пускают трекер к его собственным файлам; каждый файл назван, вместе с командой chown, которая это исправит. \
                 systemd не запускает службу снова.",
            ),
            Item(
                "78",
                "С такими настройками работать нельзя. Службу в этом случае systemd тоже не запускает снова.",
            ),
        ],
    ),
    (
        "ПРИМЕРЫ",
        &[
            Text(
                "Трекер на пробу, только для этой машины; пароль для страниц показывается один раз:",
            ),
            Example("retracker --listen 127.0.0.1:8080"),
            Text(
                "Перед перечитыванием настроек или перезапуском службы — годятся ли её настройки и какие значения действуют:",
            ),
            Example(
                "retracker --config /etc/retracker/config.ini --check-config\n\
                 retracker --config /etc/retracker/config.ini --print-config",
            ),
            Text("Что увидел бы клиент, по HTTP и UDP:"),
            Example("retracker check http://retracker.local/announce udp://retracker.local:80"),
            Text("В какой зоне адрес и кто рядом с ним:"),
            Example("retracker zones --config /etc/retracker/config.ini explain 10.7.0.9"),
        ],
    ),
    (
        "СМ. ТАКЖЕ",
        &[Text("`retracker.ini`(5), `systemctl`(1), `logrotate`(8)")],
    ),
];

pub(super) const CONFIGURATION: &[Block] = &[
    Text(
        "Настройки `retracker`(8): разделы в квадратных скобках, в каждом — ключи со значениями. У каждого ключа есть значение по умолчанию, \
         поэтому годится и пустой файл. `retracker sample --language ru` печатает файл, в котором есть все ключи.",
    ),
    Text(
        "Диалект — тот же, что у configparser языка Python: комментарий начинается с `#` или `;` в начале строки либо отделён от значения \
         двумя пробелами; строка с отступом продолжает значение предыдущей; знак процента можно удваивать. Регистр букв важен в имени \
         раздела, но не в имени ключа.",
    ),
    Text(
        "Файл принимается целиком или не принимается вовсе: неизвестный раздел или ключ, значение вне границ или ключ, который указан дважды, — \
         это ошибка с номером строки, и ничего не меняется. Заранее о ней скажет `retracker --check-config`. По SIGHUP работающий трекер \
         перечитывает файл; ключ, который применяется при запуске, ждёт перезапуска.",
    ),
];

pub(super) const CONFIGURATION_PARTS: &[Part] = &[
    (
        "ОКРУЖЕНИЕ",
        &[Item(
            "RETRACKER_РАЗДЕЛ_КЛЮЧ",
            "Заменяет значение ключа в файле, как RETRACKER_TRACKER_PORT — значение [TRACKER] port; из окружения или из файла .env в рабочем \
             каталоге, причём окружение сильнее файла. Командная строка сильнее их всех.",
        )],
    ),
    (
        "ФАЙЛЫ",
        &[
            Item("/etc/retracker/config.ini", "Настройки службы."),
            Item(
                "/etc/retracker/zones.txt",
                "Обычное место для `zones_file`: в каждой строке сеть и путь её зоны.",
            ),
        ],
    ),
    (
        "ПРИМЕРЫ",
        &[
            Text(
                "Два города, в одном из них два дома; кроме самой машины, администратором считается указанный адрес:",
            ),
            Example(example::EXAMPLE),
        ],
    ),
    ("СМ. ТАКЖЕ", &[Text("`retracker`(8)")]),
];

/// What a command does; the program's own path is empty.
pub(super) fn about(path: &str) -> Option<&'static str> {
    texts(path).map(|texts| texts.about)
}

/// What an argument of a command means.
pub(super) fn help(path: &str, argument: &str) -> Option<&'static str> {
    let mut arguments = texts(path)?.arguments.iter();
    arguments
        .find(|(name, _)| *name == argument)
        .map(|(_, text)| *text)
}

fn texts(path: &str) -> Option<&'static Texts> {
    COMMANDS.iter().find(|texts| texts.path == path)
}

/// The texts of a command.
struct Texts {
    /// Its name, with those of the commands above it.
    path: &'static str,
    about: &'static str,
    /// Its arguments by the names of their fields.
    arguments: &'static [(&'static str, &'static str)],
}

const COMMANDS: &[Texts] = &[
    Texts {
        path: "",
        about: "BitTorrent-трекер для сети провайдера: сначала соседи.",
        arguments: &[
            (
                "config",
                "Файл настроек; если не указан — тот, который называет RETRACKER_CONFIG, иначе /config/config.ini или config/config.ini, \
                 если он есть.",
            ),
            (
                "check_config",
                "Прочитать и проверить настройки, сказать, что в них не так, и завершиться.",
            ),
            (
                "print_config",
                "Напечатать все значения с их источниками, скрыв секреты, и завершиться.",
            ),
            (
                "listen",
                "Адрес, на котором принимать запросы, с портом или без; можно указать несколько раз.",
            ),
            ("port", "Порт для адресов, у которых он не указан."),
            (
                "log_level",
                "Самый низкий уровень записей, которые попадают в журнал: ERROR, WARNING, INFO, DEBUG или TRACE.",
            ),
            ("help", "Напечатать справку."),
            ("version", "Напечатать версию."),
        ],
    },
    Texts {
        path: "check",
        about: "Посылает анонс и scrape так, как это сделал бы клиент, и печатает, что он увидел бы в ответ.",
        arguments: &[
            (
                "urls",
                "Адреса для анонсов: http://host[:port]/announce или udp://host:port.",
            ),
            (
                "info_hash",
                "Раздача, 40 шестнадцатеричных цифр; если не указана — такая, которой ни у кого нет.",
            ),
            ("timeout", "Сколько секунд ждать каждого ответа."),
        ],
    },
    Texts {
        path: "import",
        about: "Переносит пиров и чёрный список из базы ретрекера на Flask.",
        arguments: &[
            ("file", "База исходного ретрекера; она только читается."),
            (
                "config",
                "Файл настроек, в котором указана база этого трекера; если не указан, его ищут там же, где трекер, а затем там, где он у \
                 установленной службы.",
            ),
            (
                "into",
                "База этого трекера, что бы ни говорили настройки; создаётся, если её нет.",
            ),
        ],
    },
    Texts {
        path: "db",
        about: "Показывает, что в базе, этого трекера или ретрекера на Flask: схему, количества, последние строки.",
        arguments: &[
            (
                "file",
                "База; трекер при этом может работать. Если не указана — та, которую называют настройки.",
            ),
            (
                "config",
                "Файл настроек, в котором указана база; если не указан, его ищут там же, где трекер, а затем там, где он у установленной \
                 службы.",
            ),
        ],
    },
    Texts {
        path: "zones",
        about: "Создаёт и сравнивает файлы зон, объясняет, что значат зоны для адреса, и печатает их для клиентов и серверов ALTO.",
        arguments: &[(
            "config",
            "Файл настроек с зонами; если не указан, его ищут там же, где трекер, а затем там, где он у установленной службы.",
        )],
    },
    Texts {
        path: "zones explain",
        about: "В какой зоне адрес, кто рядом с ним и кого ему выдали бы.",
        arguments: &[
            ("address", "Адрес клиента."),
            (
                "torrent",
                "Из какой раздачи клиенту выдали бы пиров, 40 шестнадцатеричных цифр.",
            ),
            (
                "seeder",
                "Считать клиента сидом: раздача у него уже целиком.",
            ),
            (
                "database",
                "В какую базу смотреть, что бы ни говорили настройки.",
            ),
        ],
    },
    Texts {
        path: "zones peer-policy",
        about: "Зоны в виде файла btpolicy для µTorrent (peer policy), только IPv4.",
        arguments: &[
            (
                "zone",
                "Зона, клиенты которой получат файл: чем ближе, тем больше вес. Если не указана, наибольший вес у всех зон, и один файл \
                 годится всем.",
            ),
            (
                "operator",
                "От кого этот файл: так его могут показать клиенты.",
            ),
            ("revision", "Номер редакции файла."),
        ],
    },
    Texts {
        path: "zones alto",
        about: "Зоны в виде ресурсов сервера ALTO (RFC 7285).",
        arguments: &[
            ("resource", "Какой ресурс."),
            (
                "depth",
                "Зоны, в пути которых больше частей, объединить с вышестоящими.",
            ),
            (
                "url",
                "Для directory: по какому адресу доступны network-map и cost-map.",
            ),
        ],
    },
    Texts {
        path: "zones import",
        about: "Создаёт файл префиксов и зон из таблицы, из NetBox или из базы MMDB.",
        arguments: &[
            (
                "files",
                "Файлы, которые нужно прочитать; - или ничего — стандартный ввод. Несколько файлов — страницы одного ответа.",
            ),
            (
                "format",
                "Формат файлов; если не указан, определяется по содержимому.",
            ),
            (
                "path",
                "Из чего составить путь зоны, например {site}/{role}: столбцы таблицы, поля NetBox ({site.slug}, {tags:zone-}) или базы \
                 ({country.iso_code}). {role|other} означает other, если role нет.",
            ),
            ("prefix", "Столбец таблицы, в котором указаны префиксы."),
            (
                "within",
                "Только префиксы внутри этой сети; можно указать несколько раз.",
            ),
            (
                "skip_bad",
                "Записать то, что годится, даже если другие строки не годятся.",
            ),
            (
                "output",
                "Файл, в который записать; если не указан — стандартный вывод.",
            ),
            ("force", "Заменить этот файл, если он уже есть."),
        ],
    },
    Texts {
        path: "zones diff",
        about: "Что изменится при переходе от одного файла префиксов к другому; код завершения 0, если ничего, 1, если что-то изменится, 2, если \
            файлы не удалось сравнить.",
        arguments: &[
            ("old", "Файл префиксов, который действует сейчас."),
            ("new", "Файл, который его сменит; - — стандартный ввод."),
            ("all", "Показать все строки, сколько бы их ни было."),
            (
                "database",
                "База, пиры которой подсчитываются, что бы ни говорили настройки.",
            ),
        ],
    },
    Texts {
        path: "hash-password",
        about: "Хеширует пароль для страниц: читает его из стандартного ввода и печатает строку для настроек.",
        arguments: &[],
    },
    Texts {
        path: "token",
        about: "Создаёт, перечисляет и отзывает токены API.",
        arguments: &[
            (
                "config",
                "Файл настроек, в котором указана база трекера: токены лежат рядом с ней; если не указан, его ищут там же, где трекер, а затем \
                 там, где он у установленной службы.",
            ),
            ("file", "База трекера, что бы ни говорили настройки."),
        ],
    },
    Texts {
        path: "token new",
        about: "Создаёт токен и печатает его; сам токен не хранится, и показать его ещё раз нельзя.",
        arguments: &[
            ("name", "Для чего он."),
            (
                "scope",
                "Его права: read (показатели и списки), block (ещё и чёрный список) или admin (всё).",
            ),
            (
                "expires",
                "Когда он перестаёт действовать: число с h (часы), d (дни) или w (недели), например 90d. Без этого — никогда.",
            ),
        ],
    },
    Texts {
        path: "token list",
        about: "Перечисляет токены по номерам: права, срок, последнее использование (время UTC), название.",
        arguments: &[],
    },
    Texts {
        path: "token revoke",
        about: "Отзывает токен.",
        arguments: &[("number", "Его номер в списке.")],
    },
    Texts {
        path: "sites",
        about: "Проверяет движки, через которые общаются несколько трекеров, и спрашивает у работающего трекера, как там остальные.",
        arguments: &[
            (
                "config",
                "Настройки трекера; если не указаны, их ищут там же, где трекер, а затем там, где они у установленной службы.",
            ),
            (
                "token_file",
                "Файл с токеном API для status, resend и forget; без него берётся переменная RETRACKER_TOKEN, а если нет и её — токен, \
                 созданный для этого вызова и отозванный после него.",
            ),
            (
                "address",
                "Где спрашивать трекер; если не указано — по его первому адресу.",
            ),
        ],
    },
    Texts {
        path: "sites check",
        about: "Проверяет каждый движок из настроек так, как им пользовался бы трекер, и говорит, что не так.",
        arguments: &[],
    },
    Texts {
        path: "sites status",
        about: "Показывает остальные трекеры и движки такими, какими их видит работающий трекер.",
        arguments: &[("json", "В виде JSON, как в API.")],
    },
    Texts {
        path: "sites resend",
        about: "Заставляет работающий трекер сообщить остальным всё заново.",
        arguments: &[],
    },
    Texts {
        path: "sites forget",
        about: "Заставляет работающий трекер удалить всё, что известно только от одного из остальных трекеров.",
        arguments: &[("name", "Имя этого трекера.")],
    },
    Texts {
        path: "sample",
        about: "Печатает образец настроек: каждый ключ со смыслом, границами и значением по умолчанию.",
        arguments: &[("language", "Язык комментариев.")],
    },
    Texts {
        path: "man",
        about: "Печатает страницу руководства.",
        arguments: &[("page", "Какую страницу."), ("language", "Язык страницы.")],
    },
    Texts {
        path: "completions",
        about: "Печатает сценарий автодополнения для оболочки.",
        arguments: &[("shell", "Для какой оболочки.")],
    },
];

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::super::daemon;
    use super::*;
    use crate::cli;

    /// Adds the arguments without a text to `missing`, and counts the commands; `known` are explained at a command above.
    fn compare<'a>(
        command: &'a Command,
        path: &str,
        known: &[&'a str],
        missing: &mut Vec<String>,
    ) -> usize {
        let arguments = command.get_arguments().filter(|it| !it.is_hide_set());
        let names: Vec<&str> = arguments.map(|it| it.get_id().as_str()).collect();
        for name in names.iter().filter(|name| !known.contains(name)) {
            if help(path, name).is_none() {
                missing.push(format!("{path}: {name}"));
            }
        }
        if about(path).is_none() {
            missing.push(path.to_owned());
        }
        for (name, _) in texts(path).map_or(&[][..], |texts| texts.arguments) {
            assert!(names.contains(name), "{path} has no {name}");
        }
        // Each tool has its own options; commands below one share those.
        let known: Vec<&str> = if path.is_empty() {
            vec!["help"]
        } else {
            [known, &names].concat()
        };
        let mut seen = 1;
        for tool in command
            .get_subcommands()
            .filter(|it| it.get_name() != "help")
        {
            let below = format!("{path} {}", tool.get_name());
            seen += compare(tool, below.trim_start(), &known, missing);
        }
        seen
    }

    #[test]
    fn every_command_and_argument_has_a_russian_text_and_no_text_is_left_over() {
        let mut command = cli::Arguments::command();
        command.build();
        let mut missing = Vec::new();
        let seen = compare(&command, "", &[], &mut missing);
        assert!(missing.is_empty(), "{missing:#?}");
        assert_eq!(seen, COMMANDS.len());
    }

    /// What is no prose: terms and examples.
    fn terms(parts: &[Part]) -> Vec<Vec<String>> {
        let of = |block: &Block| match block {
            Text(_) => String::new(),
            Item(term, _) => term.replace("РАЗДЕЛ_КЛЮЧ", "SECTION_KEY"),
            Example(lines) => (*lines).to_owned(),
        };
        let parts = parts.iter();
        parts
            .map(|(_, blocks)| blocks.iter().map(of).collect())
            .collect()
    }

    #[test]
    fn terms_and_examples_are_those_of_the_english_pages() {
        assert_eq!(terms(DAEMON_PARTS), terms(daemon::PARTS));
        assert_eq!(
            terms(CONFIGURATION_PARTS),
            terms(super::super::configuration::PARTS)
        );
        assert_eq!(DAEMON.len(), daemon::ABOUT.len());
        assert_eq!(
            CONFIGURATION.len(),
            super::super::configuration::ABOUT.len()
        );
    }
}

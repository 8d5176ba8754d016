//! Configuration files of servers.

use std::net::SocketAddr;
use std::path::Path;

use crate::servers::Setup;

/// One pool, of so many processes, on `fpm.sock` in the folder.
pub fn fpm(folder: &Path, children: usize) -> String {
    let folder = folder.display();
    let user = match is_root() {
        true => "user = root\ngroup = root\n",
        false => "",
    };
    format!(
        "[global]\nerror_log = {folder}/fpm.log\ndaemonize = no\n\
         [pool]\nlisten = {folder}/fpm.sock\nlisten.backlog = 4096\n\
         pm = static\npm.max_children = {children}\n{user}"
    )
}

/// Connections to php-fpm are not kept: an idle one would keep its process from all other requests, for ever
/// when there are more of them than processes.
pub fn nginx(folder: &Path, site: &Path, workers: usize, address: SocketAddr) -> String {
    let user = match is_root() {
        true => "user root;\n",
        false => "",
    };
    format!(
        "{user}daemon off;\nworker_processes {workers};\npid {folder}/nginx.pid;\n\
         events {{ worker_connections 16384; }}\n\
         http {{\n\
         include /etc/nginx/mime.types;\n\
         access_log {folder}/nginx.log;\n\
         sendfile on;\n\
         keepalive_requests 100000000;\n\
         tcp_nodelay on;\n\
         client_body_buffer_size 256k;\n\
         client_max_body_size 16m;\n\
         client_body_temp_path {folder}/body;\n\
         fastcgi_temp_path {folder}/fastcgi;\n\
         proxy_temp_path {folder}/proxy;\n\
         uwsgi_temp_path {folder}/uwsgi;\n\
         scgi_temp_path {folder}/scgi;\n\
         fastcgi_buffer_size 64k;\n\
         fastcgi_buffers 16 64k;\n\
         server {{ listen {address} backlog=4096; server_name localhost; root {site}; index index.php;\n\
         location ~ \\.php$ {{ fastcgi_pass unix:{folder}/fpm.sock;\n\
         include /etc/nginx/fastcgi_params;\n\
         fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name; }} }}\n\
         }}\n",
        folder = folder.display(),
        site = site.display(),
    )
}

/// Troupe's, with so many sites. The first has no name and serves all other hosts, by a worker, before which all
/// clients may wait.
pub fn sites(site: &Path, setup: Setup, address: SocketAddr, sites: usize) -> String {
    let Setup { network, php, .. } = setup;
    let script = site.join("index.php");
    let mut text = format!(
        "[server]\nlisten = [\"{address}\"]\nio_threads = {network}\nqueue_length = 16384\n[admin]\nlisten = \"off\"\n\
         [php]\nthreads = 1\n[[site]]\nroot = {site:?}\n\
         [[site.worker]]\nscript = {script:?}\nnum = {php}\n"
    );
    for number in 1..sites {
        text += &format!(
            "[[site]]\nname = \"site-{number}\"\nhosts = [\"{number}.example.org\"]\nroot = {site:?}\n"
        );
    }
    text
}

pub fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

<?php

namespace App;

use Symfony\Component\HttpFoundation\BinaryFileResponse;
use Symfony\Component\HttpFoundation\Cookie;
use Symfony\Component\HttpFoundation\File\UploadedFile;
use Symfony\Component\HttpFoundation\JsonResponse;
use Symfony\Component\HttpFoundation\RedirectResponse;
use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\HttpFoundation\Response;
use Symfony\Component\HttpFoundation\StreamedResponse;
use Symfony\Component\HttpKernel\Event\TerminateEvent;
use Symfony\Component\HttpKernel\Exception\AccessDeniedHttpException;

final class Stage
{
    public function hello(Request $request, string $name): Response
    {
        $response = new JsonResponse([
            'name' => $name,
            'query' => $request->query->all(),
            'cookies' => array_keys($request->cookies->all()),
            'locale' => $request->getPreferredLanguage(['en', 'de', 'fr']),
            'base' => $request->getBaseUrl(),
            'path' => $request->getPathInfo(),
            'secure' => $request->isSecure(),
            'user' => $request->getUser(),
            'requested with' => $request->headers->get('x-requested-with'),
        ]);
        $response->setEtag(md5($response->getContent()));
        $response->isNotModified($request);
        return $response;
    }

    public function form(Request $request): Response
    {
        return new JsonResponse([
            'method' => $request->getMethod(),
            'type' => $request->getContentType(),
            'fields' => $request->request->all(),
            'files' => array_map(static fn (UploadedFile $file) => [
                'name' => $file->getClientOriginalName(),
                'size' => $file->getSize(),
                'hash' => md5_file($file->getPathname()),
            ], $request->files->all()),
            'body' => md5($request->getContent()),
        ]);
    }

    public function count(Request $request): Response
    {
        $session = $request->getSession();
        $session->set('count', $session->get('count', 0) + 1);
        return new JsonResponse(['count' => $session->get('count')]);
    }

    public function login(Request $request): Response
    {
        $session = $request->getSession();
        $session->migrate(true);
        $session->set('user', $request->request->get('user'));
        $session->getFlashBag()->add('notice', 'Welcome!');
        return new RedirectResponse('/me', 303);
    }

    public function me(Request $request): Response
    {
        $session = $request->getSession();
        return new JsonResponse([
            'user' => $session->get('user', 'nobody'),
            'notices' => $session->getFlashBag()->get('notice'),
        ]);
    }

    public function logout(Request $request): Response
    {
        $request->getSession()->invalidate();
        return new RedirectResponse('/me');
    }

    public function cookies(): Response
    {
        $response = new Response('Cookies set', 202, ['Content-Type' => 'text/plain; charset=utf-8', 'X-Stage' => 'left']);
        $response->headers->setCookie(Cookie::create('plain', 'a b;c', 0, '/', null, false, false));
        $response->headers->setCookie(Cookie::create('strict', 'x', 0, '/hello', null, true, true, false, 'strict'));
        $response->headers->clearCookie('gone');
        $response->headers->set('X-Stage', 'right', false);
        return $response;
    }

    public function stream(): Response
    {
        return new StreamedResponse(static function (): void {
            for ($line = 1; $line <= 5; $line++) {
                echo "line $line\n";
                flush();
            }
        }, 200, ['Content-Type' => 'text/plain']);
    }

    public function download(): Response
    {
        $response = new BinaryFileResponse(__FILE__, 200, ['Content-Type' => 'text/plain']);
        $response->setContentDisposition('attachment', 'stage.txt');
        return $response;
    }

    public function refused(): Response
    {
        throw new AccessDeniedHttpException('The stage door is shut.', null, 0, ['X-Door' => 'shut']);
    }

    public function broken(): Response
    {
        ob_start();
        echo 'half a page';
        throw new \LogicException('The curtain is stuck.');
    }

    public function typeError(): Response
    {
        return strlen([]);
    }

    public function warning(): Response
    {
        return new Response('found: ' . var_export(@file_get_contents('/no/such/file'), true) . ', last error: ' . (error_get_last() ? 'set' : 'none'));
    }

    /** Runs when the client has its response already. */
    public function afterwards(TerminateEvent $event): void
    {
        if ($name = $event->getRequest()->query->get('afterwards')) {
            file_put_contents($_SERVER['SCRATCH'] . "/afterwards-$name", $event->getResponse()->getStatusCode());
        }
    }

    public function readAfterwards(Request $request): Response
    {
        $file = $_SERVER['SCRATCH'] . '/afterwards-' . $request->query->get('name');
        return new JsonResponse(is_file($file) ? file_get_contents($file) : null);
    }
}

<?php

namespace App;

use Symfony\Bundle\FrameworkBundle\FrameworkBundle;
use Symfony\Bundle\FrameworkBundle\Kernel\MicroKernelTrait;
use Symfony\Component\DependencyInjection\Loader\Configurator\ContainerConfigurator;
use Symfony\Component\HttpKernel\Kernel as BaseKernel;
use Symfony\Component\Routing\Loader\Configurator\RoutingConfigurator;

require_once 'Symfony/Bundle/FrameworkBundle/autoload.php';

final class Kernel extends BaseKernel
{
    use MicroKernelTrait;

    public function registerBundles(): iterable
    {
        yield new FrameworkBundle();
    }

    public function getProjectDir(): string
    {
        return __DIR__;
    }

    public function getCacheDir(): string
    {
        return $_SERVER['SCRATCH'] . '/cache';
    }

    public function getLogDir(): string
    {
        return $_SERVER['SCRATCH'] . '/log';
    }

    protected function configureContainer(ContainerConfigurator $container): void
    {
        $container->extension('framework', [
            'secret' => 'a test',
            'http_method_override' => true,
            'router' => ['utf8' => true],
            'session' => [
                'storage_factory_id' => 'session.storage.factory.native',
                'handler_id' => Sessions::class,
                'cookie_samesite' => 'lax',
            ],
        ]);
        $container->services()->set(Sessions::class);
        $container->services()->set(Stage::class)->public()
            ->tag('controller.service_arguments')
            ->tag('kernel.event_listener', ['event' => 'kernel.terminate', 'method' => 'afterwards']);
    }

    protected function configureRoutes(RoutingConfigurator $routes): void
    {
        $routes->add('hello', '/hello/{name}')->controller([Stage::class, 'hello'])->methods(['GET']);
        $routes->add('form', '/form')->controller([Stage::class, 'form'])->methods(['POST', 'PUT', 'DELETE']);
        $routes->add('count', '/count')->controller([Stage::class, 'count']);
        $routes->add('login', '/login')->controller([Stage::class, 'login'])->methods(['POST']);
        $routes->add('me', '/me')->controller([Stage::class, 'me']);
        $routes->add('logout', '/logout')->controller([Stage::class, 'logout']);
        $routes->add('cookies', '/cookies')->controller([Stage::class, 'cookies']);
        $routes->add('stream', '/stream')->controller([Stage::class, 'stream']);
        $routes->add('download', '/download')->controller([Stage::class, 'download']);
        $routes->add('refused', '/refused')->controller([Stage::class, 'refused']);
        $routes->add('broken', '/broken')->controller([Stage::class, 'broken']);
        $routes->add('type_error', '/type-error')->controller([Stage::class, 'typeError']);
        $routes->add('warning', '/warning')->controller([Stage::class, 'warning']);
        $routes->add('afterwards', '/afterwards')->controller([Stage::class, 'readAfterwards']);
    }
}
